// The session as this tab knows it: the one place that holds the token.

/** @import { Here, Known, Message, Session } from './client-types.js' */

import { backoff, codeOf, dueAt, isNews, isTokenAnswer, outcomeOf, signedIn } from './client-rules.js';
import { joinTabs } from './client-tabs.js';
import { ask, KeyturnError } from './client-wire.js';

// To hear what another tab has just fetched: messages and locks are not ordered.
const EAR = 250;
const CONFIRM = 3000;

/** @param {Here} here @returns {Session} */
export function openSession(here) {
  const { emit, now, random, setTimeout, clearTimeout, events, visible, sockets, life } = here;
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
  let heard = () => {};
  /** @type {any} */
  let timer;
  /** @type {any} */
  let confirming;
  const { tell, locked, close } = joinTabs(here, hear);

  // --- what changes the state ---

  /** @param {Known} next @param {string} [code] none where somebody signed out @param {boolean} [elsewhere] */
  function become(next, code, elsewhere = false) {
    const { state, session_id: before } = current;
    const { session_id: sessionId } = next;
    current = next;
    trouble = undefined;
    failures = notBefore = 0;
    heard();
    plan();
    if (before !== sessionId) {
      ended = before ?? ended;
      turning.abort();
      if (!code && before) giveUp(sessionId ? 'session_changed' : 'signed_out');
    }
    for (const socket of sockets) socket.follow();
    if (sessionId) {
      if (before === sessionId) emit('refreshed', { sessionId, expiresIn: (next.until - now()) / 1000 });
      else emit('signed-in', { sessionId });
    } else if (code && (before || code !== 'token_missing')) emit('expired', { code });
    else if (!code || state === 'unknown') emit('signed-out', { elsewhere });
  }

  /** @param {string} code */
  function giveUp(code) {
    const before = work;
    work = new AbortController();
    before.abort(new KeyturnError(code));
  }

  /** @param {boolean} fresh */
  function show(fresh) {
    if (current.session_id) tell({ ...current, type: 'token', age: now() - current.from, fresh });
  }

  /** @type {Session['leave']} */
  function leave(code) {
    const { session_id } = current;
    if (session_id || !code) tell({ type: 'out', session_id, code });
    become({ state: 'signed-out' }, code);
  }

  /** @type {Session['obtain']} */
  async function obtain(path, how, check = () => true) {
    const from = now();
    const body = await ask(here, path, how);
    if (!isTokenAnswer(body)) throw new KeyturnError('bad_answer');
    if (!(await check(body))) return;
    become(signedIn({ ...body, forced: current.refused }, from));
    show(true);
  }

  /** @param {Message} message */
  function hear(message) {
    company = true;
    const { type } = message;
    if (type === 'ask') show(false);
    if (type === 'leaving') turning.abort();
    if (type === 'out') {
      const { session_id = current.session_id } = message;
      if (current.state !== 'signed-out' && (current.session_id ?? session_id) === session_id) {
        become({ state: 'signed-out' }, codeOf(message), true);
      }
      ended = session_id ?? ended;
    }
    if (type === 'token') {
      const theirs = signedIn(message, now() - message.age);
      if (isNews(theirs, message.fresh, current, ended)) become(theirs);
    }
  }

  // --- one refresh at a time ---

  /** @type {Session['refresh']} */
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
      await new Promise((done) => setTimeout(done, backoff(tried, random(), 250)));
    }
  }

  async function listen() {
    company = false;
    if (!tell({ type: 'ask' })) return;
    await new Promise((done) => {
      heard = () => done(0);
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
        if (known === current && !known.used) ask(here, 'session', { method: 'GET', token: known.access_token }).catch(() => {});
      }, CONFIRM);
    } catch (/** @type {any} */ error) {
      if (signal.aborted || !holds()) return error;
      const outcome = outcomeOf(error);
      if (outcome === 'stale' && !again) return exchange(used, true);
      if (outcome === 'trouble') {
        trouble = error;
        notBefore = now() + Math.max((error.retryAfter ?? 0) * 1000, backoff(++failures, random(), 1000));
        emit('error', { error, during: 'refresh' });
      } else leave(error.code);
      return error;
    }
  }

  // --- ahead of time ---

  function planned() {
    const due = current.session_id ? dueAt(current) : failures ? 0 : Infinity;
    const awake = visible() || [...sockets].some(({ renews }) => renews);
    return awake && !flight && !life.signal.aborted ? Math.max(due, notBefore) - now() : Infinity;
  }

  function plan() {
    clearTimeout(timer);
    const wait = planned();
    if (wait < Infinity) timer = setTimeout(wake, wait);
  }

  /** @param {unknown} [now] */
  function wake(now) {
    if (now || planned() <= 0) refresh(current, 1).catch(() => {});
    else plan();
  }

  /** @param {any} event */
  function woken({ type, persisted }) {
    if (type === 'online' && !trouble?.retryAfter) notBefore = 0;
    // In the back-forward cache it heard nothing.
    wake(persisted && current.state !== 'unknown');
  }

  for (const type of ['online', 'pageshow', 'visibilitychange']) {
    events.addEventListener(type, woken, life);
  }

  return {
    current: () => current,
    signal: () => work.signal,
    async fresh() {
      if (current.state === 'unknown' || (current.session_id && current.until <= now())) await refresh(current);
      return current;
    },
    refresh,
    obtain,
    leave,
    hush() {
      turning.abort();
      tell({ type: 'leaving' });
    },
    locked,
    plan,
    close() {
      const error = new KeyturnError('signed_out');
      for (const ending of [life, work, turning]) ending.abort(error);
      close();
      sockets.clear();
      current = { state: 'signed-out' };
      clearTimeout(timer);
      clearTimeout(confirming);
      heard();
    },
  };
}
