// A small world for the client: tabs that share locks and a channel, a server whose answers are written down, and time
// that moves when it is told to.

import { createClient } from '../../src/keyturn/client/client.js';

// Pauses are as long as they may be.
Math.random = () => 0;

export const HOME = 'https://shop.test';
const EVENTS = ['signed-in', 'refreshed', 'signed-out', 'expired', 'error'];

/** Let everything happen that waits for nothing but its turn. */
export async function settle() {
  for (let turn = 0; turn < 10; turn++) await new Promise((done) => setImmediate(done));
}

/** Time. */
export class Clock {
  now = 1000;
  #due = new Map();
  #next = 1;

  /** What would keep a page busy. */
  get timers() {
    return new Map([...this.#due].filter(([, { silent }]) => !silent));
  }

  setTimeout = (run, ms) => {
    this.#due.set(this.#next, { run, at: this.now + Math.max(0, ms || 0) });
    return this.#next++;
  };

  clearTimeout = (id) => void this.#due.delete(id);

  /** A signal for which no timer is left behind: who lets go of it is done with it. */
  timeout = (ms) => {
    const ending = new AbortController();
    const run = () => ending.abort(new DOMException('', 'TimeoutError'));
    this.#due.set(this.#next++, { run, at: this.now + ms, silent: true });
    return ending.signal;
  };

  /** Let time go by, and the timers with it, in their order. */
  async pass(ms) {
    const end = this.now + ms;
    await settle();
    for (;;) {
      const due = [...this.#due].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      this.#due.delete(due[0]);
      this.now = Math.max(this.now, due[1].at);
      due[1].run();
      await settle();
    }
    this.now = end;
    await settle();
  }
}

/** Locks as the browser's, one after the other. */
export class Locks {
  held = new Map();

  request = async (name, options, work) => {
    const queue = this.held.get(name) ?? [];
    if (options.ifAvailable && queue.length) return work(null);
    let release;
    const turn = new Promise((done) => (release = done));
    const before = queue.at(-1);
    queue.push(turn);
    this.held.set(name, queue);
    try {
      if (before) await withSignal(before, options.signal);
      return await work({ name });
    } finally {
      const leave = () => {
        queue.splice(queue.indexOf(turn), 1);
        release();
      };
      // Who gave up waiting must not let others past who still wait for the same holder.
      if (before && options.signal?.aborted) before.then(leave);
      else leave();
    }
  };

  /** Somebody takes the lock and hangs. */
  seize(name) {
    this.held.set(name, [new Promise(() => {})]);
  }
}

const withSignal = (promise, signal) =>
  new Promise((resolve, reject) => {
    const stop = () => reject(new DOMException('', 'AbortError'));
    if (signal?.aborted) stop();
    signal?.addEventListener('abort', stop);
    promise.then(resolve, reject);
  });

/** A channel: what one tab says, the others hear, later. */
export class Air {
  channels = new Set();
  said = [];
  /** Messages that are held back, where a test lets them come late. */
  held = null;

  channel() {
    const air = this;
    return class {
      constructor(name) {
        this.name = name;
        air.channels.add(this);
      }

      postMessage(data) {
        if (!air.channels.has(this)) throw new DOMException('closed', 'InvalidStateError');
        const copy = structuredClone(data);
        air.said.push(copy);
        for (const other of air.channels) {
          if (other === this || other.name !== this.name) continue;
          const deliver = () => setImmediate(() => other.onmessage?.({ data: copy }));
          if (air.held) air.held.push(deliver);
          else deliver();
        }
      }

      close() {
        air.channels.delete(this);
      }
    };
  }

  release() {
    const late = this.held ?? [];
    this.held = null;
    for (const deliver of late) deliver();
  }
}

/** A server with one browser's cookies. */
export class Server {
  requests = [];
  generation = 0;
  session = 'S1';
  lifetime = 300;
  cookies = true;
  /** What a path answers instead: a list that is used up, one for each request. */
  script = new Map();

  get token() {
    return `secret-${this.session}-${this.generation}`;
  }

  answer = () => ({ access_token: this.token, token_type: 'Bearer', expires_in: this.lifetime, session_id: this.session, scope: 'a' });

  count = (path) => this.requests.filter((request) => request.path === path).length;

  /** @param {string} path @param {...(Response | Error | Function)} answers */
  next(path, ...answers) {
    this.script.set(path, [...(this.script.get(path) ?? []), ...answers]);
  }

  fetch = async (input, init = {}) => {
    const url = new URL(typeof input === 'string' || input instanceof URL ? input : input.url);
    const request = typeof input === 'string' || input instanceof URL ? new Request(url, without(init)) : input;
    const signal = init.signal ?? request.signal;
    const seen = {
      path: url.pathname, url: url.href, method: request.method, credentials: init.credentials ?? request.credentials,
      redirect: init.redirect, authorization: request.headers.get('Authorization'), headers: request.headers,
      referrerPolicy: init.referrerPolicy ?? (Object.keys(init).length ? '' : request.referrerPolicy), // as the standard says
    };
    if (signal?.aborted) throw signal.reason;
    this.requests.push(seen);
    seen.body = await request.text();
    const scripted = this.script.get(url.pathname)?.shift();
    const work = Promise.resolve(scripted ?? this.#usual).then((answer) =>
      typeof answer === 'function' ? answer.call(this, seen) : answer,
    );
    const answer = await new Promise((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason));
      work.then(resolve, reject);
    });
    if (answer instanceof Error) throw answer;
    return answer;
  };

  #usual(seen) {
    const { path, authorization } = seen;
    if (path === '/auth/login') {
      this.cookies = true;
      this.generation += 1;
      return Response.json(this.answer());
    }
    if (path === '/auth/refresh') return this.refresh();
    if (path === '/auth/logout') {
      this.cookies = false;
      return new Response(null, { status: 204 });
    }
    if (authorization !== `Bearer ${this.token}`) return refusal(authorization ? 'token_expired' : 'token_missing');
    if (path === '/auth/step-up') return this.refresh();
    if (path === '/auth/logout-all') {
      this.cookies = false;
      return Response.json({ ended: 3 });
    }
    if (path === '/auth/session') return Response.json({ sub: 'ada', sid: this.session });
    if (path === '/auth/sessions') return Response.json(seen.method === 'GET' ? { sessions: [{ id: 'S1' }] } : { ended: 2 });
    if (path.startsWith('/auth/sessions/')) return new Response(null, { status: 204 });
    return Response.json({ echo: seen.body });
  }

  refresh() {
    if (!this.cookies) return refusal('token_missing');
    this.generation += 1;
    return Response.json(this.answer());
  }
}

const without = ({ signal, ...init }) => (init.redirect === 'error' ? { ...init, redirect: 'follow' } : init);

export const refusal = (code, status = 401, headers = {}) =>
  Response.json({ code, detail: `Told: ${code}.` }, { status, headers: { 'Content-Type': 'application/problem+json', ...headers } });

/** A promise that a test resolves. */
export function gate() {
  let open;
  const promise = new Promise((resolve) => (open = resolve));
  return { promise, open };
}

/** One browser: tabs, a clock, a server. */
export class World {
  clock = new Clock();
  locks = new Locks();
  air = new Air();
  server = new Server();
  tabs = [];

  constructor({ locks = true, channel = true } = {}) {
    this.has = { locks, channel };
  }

  /** Open a tab. */
  tab({ visible = true, platform = {}, ...options } = {}) {
    const events = new EventTarget();
    const document = { visibilityState: visible ? 'visible' : 'hidden', baseURI: `${HOME}/page` };
    const tab = { events, log: [], document };
    const client = createClient({
      baseUrl: `${HOME}/auth`,
      ...options,
      platform: {
        fetch: this.server.fetch,
        performance: { now: () => this.clock.now },
        setTimeout: this.clock.setTimeout,
        clearTimeout: this.clock.clearTimeout,
        AbortSignal: { any: (signals) => AbortSignal.any(signals), timeout: this.clock.timeout },
        navigator: { locks: this.has.locks ? this.locks : undefined },
        BroadcastChannel: this.has.channel ? this.air.channel() : undefined,
        WebSocket: FakeSocket,
        location: { origin: HOME },
        document: tab.document,
        addEventListener: events.addEventListener.bind(events),
        ...platform,
      },
    });
    for (const type of EVENTS) client.on(type, (detail) => tab.log.push([type, detail]));
    tab.client = client;
    this.tabs.push(tab);
    return tab;
  }

  /** Open a tab, and wait until it knows. */
  async open(options) {
    const tab = this.tab(options);
    await settle();
    return tab;
  }

  /** The token's life is over, without anybody having noticed at once. */
  expire() {
    this.server.generation += 1;
    this.clock.now += 100_000;
  }
}

export const types = (tab) => tab.log.map(([type]) => type);

/** A WebSocket that goes nowhere. */
export class FakeSocket extends EventTarget {
  static all = [];
  readyState = 0;
  closed = null;

  constructor(url, protocols) {
    super();
    Object.assign(this, { url, protocols });
    FakeSocket.all.push(this);
  }

  open() {
    this.readyState = 1;
    this.dispatchEvent(new Event('open'));
  }

  close(code, reason) {
    this.readyState = 3;
    this.closed = [code, reason];
    this.dispatchEvent(new Event('close'));
  }
}

/** What a promise rejects with. */
export async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it did not fail');
}
