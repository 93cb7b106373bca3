// The session as this tab knows it, and what changes it: the one place that holds the token.

import { KeyturnError } from './client-errors.js';
import * as rules from './client-rules.js';
import { joinTabs } from './client-tabs.js';
import { ask, errorOf } from './client-wire.js';

/** @typedef {import('./client-rules.js').Known} Known */
/** @typedef {import('./client-rules.js').SignedIn} SignedIn */
/** @typedef {ReturnType<typeof openSession>} Session */

const TRIES = 3;
// How long to listen for what another tab may just have fetched: messages and locks are not ordered.
const EAR = 250;
const CONFIRM = 3000;
// The longest that timers can count.
const LONGEST = 2 ** 31 - 1;
const nothing = () => {};

/**
 * @param {string} base
 * @param {string} name
 * @param {import('./client-wire.js').Platform} platform
 * @param {(type: string, detail: object) => void} emit
 */
export function openSession(base, name, platform, emit) {
  const { now, random } = platform;
  /** @type {Known} */
  let current = { state: 'unknown' };
  /** @type {string | undefined} */
  let ended;
  let work = new AbortController(); // given up when the session of this tab ends or changes
  let turning = new AbortController(); // the refresh on its way
  /** @type {Promise<KeyturnError | undefined> | undefined} */
  let flight;
  /** @type {Promise<void> | undefined} */
  let insisting;
  /** @type {KeyturnError | undefined} */
  let bar; // the server said when to come again
  let failures = 0;
  let notBefore = 0;
  let asked = false;
  let company = false; // whether other tabs were heard
  let closed = false;
  let heard = nothing;
  /** @type {any} */
  let timer;
  /** @type {any} */
  let confirming;
  /** Who is told of every change, and whether a hidden page refreshes ahead for them.
   * @type {Map<(known: Known) => void, boolean>} */
  const followers = new Map();
  const tabs = joinTabs(name, platform, hear);

  // --- what changes the state ---------------------------------------------------------------------------------------

  /** @param {SignedIn} next */
  function take(next) {
    const before = current;
    current = next;
    settled();
    const { sessionId } = next;
    if (before.sessionId === sessionId) {
      emit('refreshed', { sessionId, expiresIn: (next.until - now()) / 1000 });
    } else {
      if (before.sessionId) giveUp('session_changed');
      emit('signed-in', { sessionId });
    }
  }

  /** @param {string | undefined} code of a refusal; none where somebody signed out @param {boolean} elsewhere */
  function end(code, elsewhere) {
    const { sessionId } = current;
    ended = sessionId ?? ended;
    current = { state: 'signed-out' };
    turning.abort();
    settled();
    if (!code) giveUp('signed_out');
    if (code && (sessionId || code !== 'token_missing')) emit('expired', { code });
    else if (!code && (sessionId || !elsewhere)) emit('signed-out', { elsewhere });
  }

  function settled() {
    failures = notBefore = 0;
    bar = undefined;
    heard();
    plan();
    for (const follow of followers.keys()) follow(current);
  }

  /** @param {string} code */
  function giveUp(code) {
    const before = work;
    work = new AbortController();
    before.abort(new KeyturnError(code));
  }

  /** Take over what the server has just answered, and tell the others.
   * @param {import('./client-rules.js').TokenAnswer} body @param {number} from when it was asked for */
  function accept(body, from) {
    const next = rules.signedIn(body, from);
    tabs.tell(rules.tokenMessage(next, now(), true));
    take(next);
    return next;
  }

  /** Sign out here and, as the server has said yes, everywhere. @param {string} [code] */
  function leave(code) {
    const { sessionId } = current;
    if (sessionId || !code) tabs.tell({ type: 'out', sessionId, code });
    end(code, false);
  }

  /** Stop refreshes on their way, here and elsewhere: they would come back after the end. */
  function hush() {
    turning.abort();
    tabs.tell({ type: 'leaving' });
  }

  /** @param {import('./client-rules.js').Message} message */
  function hear(message) {
    if (closed) return;
    company = true;
    if (message.type === 'ask') {
      if (isSignedIn(current)) tabs.tell(rules.tokenMessage(current, now(), false));
    } else if (message.type === 'leaving') {
      turning.abort();
    } else if (message.type === 'out') {
      const { sessionId, code } = message;
      if (current.state !== 'signed-out' && (!current.sessionId || !sessionId || current.sessionId === sessionId)) {
        end(code, true);
      }
      ended = sessionId ?? ended;
    } else {
      const theirs = rules.received(message, now());
      if (rules.isNews(theirs, message.fresh, current, ended)) take(theirs);
    }
  }

  // --- one refresh at a time ----------------------------------------------------------------------------------------

  /** Refresh once, for all who ask meanwhile. Gives what went wrong.
   * @param {Known} used what the caller knew */
  function turn(used) {
    flight ??= attempt(used).finally(() => {
      flight = undefined;
      plan();
    });
    return flight;
  }

  /** @param {Known} used @returns {Promise<KeyturnError | undefined>} */
  async function attempt(used) {
    asked = true;
    return tabs.locked(async (waited) => {
      if (!closed && current === used && (waited || company)) await listen();
      return closed || current !== used ? undefined : exchange(used);
    });
  }

  /** Ask the other tabs for something newer. */
  async function listen() {
    company = false;
    if (!tabs.tell({ type: 'ask' })) return;
    await new Promise((resolve) => {
      const late = platform.setTimeout(() => heard(), EAR);
      heard = () => {
        heard = nothing;
        platform.clearTimeout(late);
        resolve(undefined);
      };
    });
  }

  /** @param {Known} used @returns {Promise<KeyturnError | undefined>} */
  async function exchange(used, again = false) {
    const from = now();
    const { signal } = (turning = new AbortController());
    try {
      const reply = await ask(platform, `${base}refresh`, { signal });
      // Meanwhile signed out, or signed in as somebody else: what was asked for before that must not undo it.
      if (closed || !continues(used, current)) return undefined;
      const outcome = rules.outcomeOf(reply.status, reply.body);
      if (outcome === 'token') {
        accept(reply.body, from);
        confirmSoon(current);
      } else if (outcome === 'stale' && !again) {
        return exchange(used, true);
      } else if (outcome === 'trouble') {
        throw errorOf(reply);
      } else {
        leave(reply.body.code);
      }
      return undefined;
    } catch (error) {
      const failure = /** @type {KeyturnError} */ (error);
      if (!signal.aborted) failed(failure);
      return failure;
    }
  }

  /** @param {KeyturnError} error */
  function failed(error) {
    const wait = rules.barOf(error.retryAfter);
    bar = wait ? error : undefined;
    notBefore = now() + Math.max(wait, rules.backoff(++failures, random()));
    emit('error', { error, during: 'refresh' });
  }

  /** Refresh for somebody who waits: a few tries, then the error.
   * @param {Known} used @returns {Promise<void>} */
  async function ensure(used) {
    if (insisting) await insisting;
    if (current !== used) return;
    insisting ??= insist(used).finally(() => {
      insisting = undefined;
    });
    await insisting;
  }

  /** @param {Known} used @returns {Promise<void>} */
  async function insist(used) {
    for (let tries = 1; current === used; tries++) {
      if (closed) throw new KeyturnError('signed_out');
      if (bar && now() < notBefore) throw bar;
      const error = await turn(used);
      if (current !== used) return;
      if (error && (tries === TRIES || !rules.mayPass(error))) throw error;
      if (error) await new Promise((done) => platform.setTimeout(() => done(undefined), rules.pause(tries, random())));
    }
  }

  // --- ahead of time ------------------------------------------------------------------------------------------------

  /** When to refresh with nobody waiting; undefined: not at all. */
  function planned() {
    const open = isSignedIn(current) || (current.state === 'unknown' && asked);
    if (closed || !open || !(platform.visible() || [...followers.values()].includes(true))) return undefined;
    return Math.max(isSignedIn(current) ? rules.dueAt(current) : 0, notBefore) - now();
  }

  function plan() {
    platform.clearTimeout(timer);
    const wait = flight ? undefined : planned();
    if (wait !== undefined) timer = platform.setTimeout(wake, Math.min(Math.max(wait, 0), LONGEST));
  }

  function wake() {
    if ((planned() ?? 1) <= 0) void turn(current);
    else plan();
  }

  /** @param {Event} event */
  function woken(event) {
    if (event.type === 'online' && !bar) notBefore = 0;
    // A page that comes back from the cache heard nothing of what happened meanwhile.
    if (event.type === 'pageshow' && /** @type {PageTransitionEvent} */ (event).persisted && isSignedIn(current)) void turn(current);
    else wake();
  }

  /** Let the server know that its answer came: until then it takes the token before it for one that may still be needed.
   * @param {Known} known */
  function confirmSoon(known) {
    platform.clearTimeout(confirming);
    confirming = platform.setTimeout(() => {
      if (current !== known || known.used) return;
      ask(platform, `${base}session`, { method: 'GET', token: known.token }).catch(nothing);
    }, CONFIRM);
  }

  const EVENTS = ['online', 'pageshow', 'visibilitychange'];
  for (const type of EVENTS) platform.events?.addEventListener(type, woken);

  return {
    accept,
    leave,
    hush,
    ensure,
    plan,
    followers,
    locked: tabs.locked,
    current: () => current,
    signal: () => work.signal,
    close() {
      if (closed) return;
      closed = true;
      for (const type of EVENTS) platform.events?.removeEventListener(type, woken);
      platform.clearTimeout(timer);
      platform.clearTimeout(confirming);
      followers.clear();
      current = { state: 'signed-out' };
      turning.abort();
      work.abort(new KeyturnError('signed_out'));
      heard();
      tabs.close();
    },
  };
}

/** @param {Known} known @returns {known is SignedIn} */
export const isSignedIn = (known) => known.state === 'signed-in';

/** @param {Known} before @param {Known} after */
const continues = (before, after) => before === after || (isSignedIn(before) && before.sessionId === after.sessionId);
