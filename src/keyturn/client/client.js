// Keyturn in the browser: sign in, call, stay signed in over all tabs, sign out (docs/reference/browser-client.md).
// One file: a second one would be one more round trip before a page can ask who is signed in.

/** @import { Answer, Ask, Client, Events, Known, Message, Options, SignedIn, TokenAnswer } from './client-types.js' */

// Milliseconds. A server, or a tab that holds the lock, must not hold up the others for good.
const PATIENCE = 10_000;
// Who refuses what took the place of a refused token refuses the next one too.
const YOUNG = 10_000;
const CONFIRM = 3000;
// Two tabs measure one life from different moments.
const SLACK = 1000;
// To hear what another tab has just fetched: messages and locks are not ordered.
const EAR = 250;

// What /refresh ends a session with.
const OVER = ['token_missing', 'token_invalid', 'session_ended', 'binding_mismatch', 'token_stale'];

/** What went wrong. `code` is the server's, or `network`, `timeout`, `bad_answer`, `signed_out`, `session_changed`,
 * `cookies_blocked`. */
export class KeyturnError extends Error {
  /** @param {string} code @param {number} [status] @param {number} [retryAfter] seconds @param {string} [detail] */
  constructor(code, status, retryAfter, detail = `Keyturn: ${code}`) {
    super(detail);
    this.name = 'KeyturnError';
    this.code = code;
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** Make a client; a page needs one.
 * @param {Options} [options] @returns {Client} */
export function createClient({ baseUrl = new URL('.', import.meta.url), origins, resume = true, name = '', platform = globalThis } = {}) {
  const {
    fetch, setTimeout, clearTimeout, performance, navigator, document, location, addEventListener,
    AbortSignal, BroadcastChannel, WebSocket, reportError,
  } = platform;
  const now = () => performance.now();

  const home = new URL(baseUrl, document?.baseURI);
  const routes = home.origin + home.pathname.replace(/\/+$/, '') + '/';
  const listed = new Set((origins ?? [routes]).map((url) => new URL(url).origin));
  // Files and sandboxed frames have no origin.
  listed.delete('null');

  const life = new AbortController(); // of the client
  let work = new AbortController(); // of the session
  let turning = new AbortController(); // of the refresh on its way
  /** @type {Known} */
  let current = { state: 'unknown' };
  /** @type {string | undefined} */
  let ended;
  /** @type {Promise<void> | undefined} */
  let flight;
  /** @type {KeyturnError | undefined} */
  let trouble;
  let failures = 0;
  let notBefore = 0;
  let company = false; // whether another tab was heard
  /** @type {(() => void) | undefined} */
  let heard;
  /** @type {any} */
  let timer;
  /** @type {any} */
  let confirming;
  /** @type {Record<string, Set<(detail: any) => void>>} */
  const listeners = {};
  /** Who is told of every change, and whether it is a reason to refresh ahead in a hidden page.
   * @type {Map<() => void, boolean>} */
  const sockets = new Map();

  // --- what is not ours ---

  /** Its trouble is reported, not ours to have.
   * @template {unknown[]} A @param {(...given: A) => void} run @param {A} given */
  function safely(run, ...given) {
    try {
      run(...given);
    } catch (error) {
      reportError?.(error);
    }
  }

  /** @template {keyof Events} T @param {T} type @param {Events[T]} detail */
  function emit(type, detail) {
    for (const listener of [...(listeners[type] ?? [])]) safely(listener, detail);
  }

  // --- the server ---

  /** Give the body of a good answer; all others are errors.
   * @param {string} path @param {Ask} [how] @returns {Promise<any>} */
  async function ask(path, { method = 'POST', token, json, signal = life.signal } = {}) {
    const either = AbortSignal.any([AbortSignal.timeout(PATIENCE), life.signal, signal]);
    const sent = fetch(routes + path, {
      method,
      headers: {
        ...(token && { Authorization: `Bearer ${token}` }),
        ...(json && { 'Content-Type': 'application/json' }),
      },
      body: json && JSON.stringify(json),
      signal: either,
      credentials: 'include',
      redirect: 'error',
    });
    try {
      return await unless(either, sent.then(read));
    } catch (/** @type {any} */ error) {
      throw error instanceof KeyturnError ? error : new KeyturnError(error.name === 'TimeoutError' ? 'timeout' : 'network');
    }
  }

  // --- the other tabs ---

  /** @type {BroadcastChannel | undefined} */
  let channel;
  const shared = 'keyturn:' + routes + name;
  try {
    channel = new BroadcastChannel(shared);
    channel.onmessage = ({ data }) => isMessage(data) && hear(data);
  } catch {
    // not where there is none, or cookies are blocked
  }

  /** @param {Message} message */
  const tell = (message) => channel?.postMessage({ keyturn: 1, ...message });

  /** @param {Message} message */
  function hear(message) {
    company = true;
    const { type } = message;
    if (type === 'ask') show(false);
    if (type === 'leaving') turning.abort();
    if (type === 'out') {
      const { session_id } = message;
      const ours = !session_id || !current.session_id || current.session_id === session_id;
      if (ours && current.state !== 'signed-out') become({ state: 'signed-out' }, codeOf(message), true);
      ended = session_id ?? ended;
    }
    if (type === 'token') {
      const theirs = signedIn(message, now() - message.age);
      if (isNews(theirs, message.fresh, current, ended)) become(theirs);
    }
  }

  /** @param {boolean} fresh */
  function show(fresh) {
    if (current.session_id) tell({ ...current, type: 'token', age: now() - current.from, fresh });
  }

  /** @type {Promise<any>} */
  let last = Promise.resolve();

  /** Do something while no other tab does; `work` is told whether somebody else was at it.
   * @template T @param {(waited: boolean) => Promise<T>} work @returns {Promise<T>} */
  async function locked(work) {
    const locks = navigator?.locks;
    let began = false;
    /** @param {boolean} waited */
    const begin = (waited) => {
      began = true;
      return work(waited);
    };
    try {
      if (!locks) return await (last = last.catch(() => {}).then(() => begin(false)));
      const signal = AbortSignal.timeout(PATIENCE);
      /** @type {any} */
      const done = await locks.request(shared, { ifAvailable: true }, (free) => free && begin(false));
      return began ? done : await locks.request(shared, { signal }, () => begin(true));
    } catch (error) {
      if (began) throw error;
      return begin(true); // not granted in time, or not at all (a sandboxed frame)
    }
  }

  // --- what changes the state ---

  /** @param {Known} next @param {string} [code] none where somebody signed out @param {boolean} [elsewhere] */
  function become(next, code, elsewhere = false) {
    const { state, session_id: before } = current;
    const { session_id: sessionId } = next;
    current = next;
    trouble = undefined;
    failures = notBefore = 0;
    heard?.();
    plan();
    if (before !== sessionId) {
      ended = before ?? ended;
      turning.abort();
      if (!code && before) {
        const calls = work;
        work = new AbortController();
        calls.abort(new KeyturnError(sessionId ? 'session_changed' : 'signed_out'));
      }
    }
    for (const follow of sockets.keys()) follow();
    if (sessionId) {
      if (before === sessionId) emit('refreshed', { sessionId, expiresIn: (next.until - now()) / 1000 });
      else emit('signed-in', { sessionId });
    } else if (code && (before || code !== 'token_missing')) emit('expired', { code });
    else if (!code || state === 'unknown') emit('signed-out', { elsewhere });
  }

  /** Sign out here and, as the server has said yes, everywhere.
   * @param {string} [code] */
  function leave(code) {
    const { session_id } = current;
    if (session_id || !code) tell({ type: 'out', session_id, code });
    become({ state: 'signed-out' }, code);
  }

  /** Stop refreshes on their way, here and elsewhere: they would come back after the end. */
  function hush() {
    turning.abort();
    tell({ type: 'leaving' });
  }

  /** Ask for a token, take it over and tell the others; not if `check` says false.
   * @param {string} path @param {Ask} how @param {(answer: TokenAnswer) => unknown} [check] */
  async function obtain(path, how, check) {
    const from = now();
    const body = await ask(path, how);
    if (!isTokenAnswer(body)) throw new KeyturnError('bad_answer');
    if ((await check?.(body)) === false) return;
    become(signedIn({ ...body, forced: current.refused }, from));
    show(true);
  }

  // --- one refresh at a time ---

  /** Refresh what the caller knew, for all who ask meanwhile; a few tries, then the error.
   * @param {Known} used */
  async function refresh(used, tries = 3) {
    await flight;
    if (current !== used) return;
    flight ??= insist(used, tries).finally(() => {
      flight = undefined;
      plan();
    });
    await flight;
  }

  /** @param {Known} used @param {number} tries */
  async function insist(used, tries) {
    for (let tried = 1; ; tried++) {
      if (trouble?.retryAfter && now() < notBefore) throw trouble;
      const error = await locked(async (waited) => {
        if (current === used && (waited || company)) await listen();
        return exchange(used);
      });
      if (current !== used) return;
      if (tried >= tries) throw error;
      await new Promise((done) => setTimeout(done, backoff(tried, 250)));
    }
  }

  async function listen() {
    company = false;
    if (!channel) return;
    tell({ type: 'ask' });
    await new Promise((done) => {
      heard = /** @type {() => void} */ (done);
      setTimeout(done, EAR);
    });
  }

  /** @param {Known} used @param {boolean} [again] @returns {Promise<KeyturnError | undefined>} what went wrong */
  async function exchange(used, again) {
    if (current !== used) return;
    const { signal } = (turning = new AbortController());
    // What was asked for before a sign-out or another sign-in must not undo it.
    const holds = () => current === used || (!!used.session_id && current.session_id === used.session_id);
    try {
      await obtain('refresh', { signal }, holds);
      const known = current;
      clearTimeout(confirming);
      // The server may have to give its answer again until it knows that it came.
      confirming = setTimeout(() => {
        if (known === current && !known.used) look(known.access_token).catch(() => {});
      }, CONFIRM);
    } catch (/** @type {any} */ error) {
      if (signal.aborted || !holds()) return error;
      const { status, code, retryAfter = 0 } = error;
      if (status !== 401 || !OVER.includes(code)) {
        // Whatever is not plainly a "no" of ours keeps the session.
        trouble = error;
        notBefore = now() + Math.max(retryAfter * 1000, backoff(++failures, 1000));
        emit('error', { error, during: 'refresh' });
      } else if (code === 'token_stale' && !again) return exchange(used, true);
      else leave(code);
      return error;
    }
  }

  /** @param {string} [token] */
  const look = (token) => ask('session', { method: 'GET', token });

  // --- ahead of time ---

  function plan() {
    clearTimeout(timer);
    const awake = document?.visibilityState !== 'hidden' || [...sockets.values()].some(Boolean);
    if (!awake || life.signal.aborted || !(current.session_id || failures)) return;
    const wait = Math.max(current.session_id ? dueAt(current) : 0, notBefore) - now();
    if (wait > 0) timer = setTimeout(plan, wait);
    else renew();
  }

  const renew = () => refresh(current, 1).catch(() => {});

  /** @param {any} event */
  function woken({ type, persisted }) {
    if (type === 'online' && !trouble?.retryAfter) notBefore = 0;
    // In the back-forward cache it heard nothing.
    if (persisted && current.state !== 'unknown') renew();
    else plan();
  }

  for (const type of ['online', 'pageshow', 'visibilitychange']) {
    addEventListener(type, woken, life);
  }

  // --- what is done with the token ---

  /** What is known, once it is known and not over. */
  async function fresh() {
    if (current.state === 'unknown' || (current.session_id && current.until <= now())) await refresh(current);
    return current;
  }

  /** Send with the current token, and again with a newer one where that may help; never as another session.
   * @param {(known: Known) => Promise<Answer>} send @param {boolean} [must] be signed in @returns {Promise<any>} */
  async function persist(send, must) {
    const before = current;
    const { signal } = work;
    let known = await fresh();
    signal.throwIfAborted();
    const { session_id } = known;
    if (!session_id && (must || before.session_id)) throw new KeyturnError('signed_out');
    for (let repeats = 0; ; repeats++) {
      const answer = await send(known).catch((error) => error);
      known.used ||= answer.ok;
      const move = nextMove(answer, known, current, now(), repeats);
      if (move === 'refresh') {
        known.refused = true;
        await refresh(known);
      }
      known = current;
      if (!move || !known.session_id) {
        if (answer instanceof Error) throw answer;
        return answer.body;
      }
      if (known.session_id !== session_id) throw new KeyturnError('session_changed');
    }
  }

  /** @param {string} path @param {string} [method] */
  const api = (path, method = 'GET') =>
    persist(
      async ({ access_token: token }) => ({ ok: true, body: await ask(path, { method, token, signal: work.signal }) }),
      true,
    );

  /** The same while no tab refreshes: it changes the session.
   * @param {(token?: string) => Promise<any>} send */
  const change = (send) =>
    persist(
      (known) =>
        locked(async () => {
          const { session_id, access_token } = current;
          if (session_id !== known.session_id) throw new KeyturnError('session_changed');
          return { ok: true, body: await send(access_token) };
        }),
      true,
    );

  /** @type {Client} */
  const client = {
    get state() {
      return current.state;
    },

    async resume() {
      if (!current.session_id) await refresh(current);
      return !!current.session_id;
    },

    login: ({ clientId, deviceName, ...rest }) =>
      locked(async () => {
        const json = { ...rest, client_id: clientId, device_name: deviceName, transport: 'cookie' };
        await obtain('login', { json }, async ({ access_token }) => {
          // Do cookies come back from another site? Better to know now than with the first call.
          if (home.origin !== location?.origin) {
            await look(access_token).catch(({ code }) => {
              if (['token_missing', 'binding_mismatch'].includes(code)) throw new KeyturnError('cookies_blocked');
            });
          }
        });
        const { session_id: sessionId, scope } = /** @type {SignedIn} */ (current);
        return { sessionId, scope };
      }),

    logout() {
      hush();
      return locked(async () => {
        await ask('logout', { token: current.access_token });
        leave();
      });
    },

    logoutAll() {
      hush();
      return change(async (token) => {
        const { ended } = await ask('logout-all', { token });
        leave();
        return ended;
      });
    },

    session: async () => ((await fresh()).session_id ? api('session') : null),

    sessions: async () => (await api('sessions')).sessions,

    async endSession(id) {
      await api(`sessions/${encodeURIComponent(id)}`, 'DELETE');
      if (id === current.session_id) leave();
    },

    endOtherSessions: async () => (await api('sessions', 'DELETE')).ended,

    stepUp: (json) => change((token) => obtain('step-up', { token, json })),

    async fetch(input, init) {
      const outer = work.signal;
      const given = /** @type {Partial<Request>} */ (input);
      const { credentials, referrer, referrerPolicy } = given;
      const url = new URL(given.url ?? `${input}`, document?.baseURI);
      if (!listed.has(url.origin) || new Headers(init?.headers ?? given.headers).has('Authorization')) return fetch(input, init);
      const request = new Request(given.url ? input : url, {
        referrer,
        referrerPolicy,
        ...init,
        credentials: init?.credentials ?? (credentials !== 'omit' && url.hostname === home.hostname ? 'include' : credentials),
        signal: AbortSignal.any([outer, init?.signal ?? given.signal ?? outer]),
      });

      return unless(
        request.signal,
        persist(async ({ access_token }) => {
          const copy = request.clone();
          if (access_token) copy.headers.set('Authorization', `Bearer ${access_token}`);
          const body = await fetch(copy);
          const { status, ok, headers } = body;
          // Where it was redirected to may be anybody's.
          if (status !== 401 || !listed.has(new URL(body.url || url).origin)) return { body, ok };
          return { body, status, code: codeOf(await body.clone().json().catch(() => {}), headers.get('WWW-Authenticate')) };
        }),
      );
    },

    async websocket(url, { renew } = {}) {
      const { href, origin } = new URL(url, document?.baseURI);
      if (!listed.has(origin.replace(/^ws/, 'http'))) throw new TypeError(`${origin} may not see the access token`);
      let { access_token: token, session_id } = await fresh();
      if (!session_id) throw new KeyturnError('signed_out');
      const socket = new WebSocket(href.replace(/^http/, 'ws'), token ? ['keyturn', token] : ['keyturn']);

      const follow = () => {
        const { access_token } = current;
        if (current.session_id !== session_id) {
          sockets.delete(follow);
          socket.close(4401, 'signed_out'); // as the server does
        } else if (renew && access_token && access_token !== token && socket.readyState === 1) {
          token = access_token;
          safely(renew, socket, token);
        }
      };
      sockets.set(follow, !!renew);
      plan();
      socket.addEventListener('open', follow);
      socket.addEventListener('close', () => sockets.delete(follow));
      return socket;
    },

    on(type, listener) {
      const those = (listeners[type] ??= new Set()).add(listener);
      return () => void those.delete(listener);
    },

    close() {
      const error = new KeyturnError('signed_out');
      life.abort(error);
      work.abort(error);
      channel?.close();
      channel = undefined;
      sockets.clear();
      current = { state: 'signed-out' };
      clearTimeout(timer);
      clearTimeout(confirming);
      heard?.();
    },
  };

  // Who listens to 'error' hears of it.
  if (resume) client.resume().catch(() => {});
  return Object.freeze(client);
}

// --- the wire ---

/** Wait for a promise, but no longer than until the signal.
 * @template T @param {AbortSignal} signal @param {Promise<T>} promise @returns {Promise<T>} */
const unless = (signal, promise) =>
  new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop);
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });

/** @param {Response} response */
async function read(response) {
  // (What the parser has to say quotes what it could not read.)
  const body = await response.json().catch(() => {});
  const { status, ok, headers } = response;
  if (ok) return body;
  // An hour at most.
  const retryAfter = Math.min(Number(headers.get('Retry-After')), 3600) || undefined;
  throw new KeyturnError(codeOf(body) ?? 'bad_answer', status, retryAfter, body?.detail);
}

/** Ours, or that of RFC 6750 section 3.1.
 * @param {any} body @param {any} [challenge] @returns {string | undefined} */
const codeOf = (body, challenge) =>
  /^[a-z_]+$/.test(body?.code ?? '') ? body.code : /^bearer.*invalid_token/i.test(challenge) ? 'token_invalid' : undefined;

/** @param {any} body @returns {body is TokenAnswer} */
const isTokenAnswer = (body) =>
  typeof body?.expires_in === 'number' &&
  body.expires_in >= 0 &&
  body.expires_in < 1e6 &&
  typeof body.session_id === 'string' &&
  // What a header field or a subprotocol cannot carry would be quoted by the browser's error.
  /^[\w.~-]+$/.test(body.access_token ?? '-') &&
  // Every script can read the last match: RegExp.input.
  /^/.test('');

/** @param {any} data @returns {data is Message} */
const isMessage = (data) =>
  data?.keyturn === 1 && (data.type !== 'token' || (isTokenAnswer(data) && /** @type {any} */ (data).age >= 0));

// --- the decisions; times are milliseconds of a clock that only goes forward ---

/** @param {TokenAnswer} answer @param {number} from @returns {SignedIn} */
const signedIn = ({ access_token, expires_in, session_id, forced, scope = '' }, from) => ({
  state: 'signed-in',
  access_token,
  expires_in,
  session_id,
  scope,
  forced,
  from,
  until: from + expires_in * 1000,
});

/** What to do with an answer, by what was known when it was asked for and is known now.
 * @param {Answer} answer @param {Known} then @param {Known} now @param {number} time @param {number} repeats
 * @returns {'' | 'repeat' | 'refresh'} */
function nextMove({ status, code = '' }, then, now, time, repeats) {
  const stale = code === 'token_stale';
  if (status !== 401 || !then.session_id || ![...OVER, 'token_expired'].includes(code) || repeats > +stale) return '';
  if (then !== now) return 'repeat';
  return stale || !then.forced || time >= then.from + YOUNG ? 'refresh' : '';
}

/** Half a minute before the end, or a fifth of the life; but never more than once in a second.
 * @param {SignedIn} known */
const dueAt = ({ from, until }) => Math.max(until - Math.min(30_000, (until - from) / 5), from + 1000);

/** Longer after each failure, less up to a half by chance.
 * @param {number} failures @param {number} first */
const backoff = (failures, first) => Math.min(60_000, first * 2 ** failures) * (1 - Math.random() / 2);

/** Messages overtake each other: none may bring back a session that is over, nor an older token.
 * @param {SignedIn} theirs @param {boolean} fresh @param {Known} ours @param {string | undefined} ended */
function isNews(theirs, fresh, ours, ended) {
  if (theirs.session_id === ended || (theirs.access_token && theirs.access_token === ours.access_token)) return false;
  if (theirs.session_id === ours.session_id) return theirs.until > ours.until + (fresh ? -SLACK : SLACK);
  return fresh || ours.state === 'unknown';
}
