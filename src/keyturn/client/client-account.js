// Signing in and out, and what a user may do with their sessions.

import { KeyturnError } from './client-errors.js';
import { isTokenAnswer } from './client-rules.js';
import { isSignedIn } from './client-session.js';
import { makeApi } from './client-calls.js';
import { ask, errorOf } from './client-wire.js';

/**
 * @typedef {object} Credentials
 * @property {string} username
 * @property {string} password
 * @property {boolean} [remember] false: the browser forgets the session when it is closed
 * @property {string} [scope] what is asked for, separated by spaces; everything the user may, if nothing is
 * @property {string} [clientId] which registered application signs in
 * @property {string} [deviceName] how this device is called in the list of sessions
 */

/**
 * @param {import('./client-session.js').Session} session
 * @param {string} base
 * @param {import('./client-wire.js').Platform} platform
 */
export function makeAccount(session, base, platform) {
  const { api, change } = makeApi(session, base, platform);

  /** @returns {Promise<boolean>} */
  async function resume() {
    const known = session.current();
    if (!isSignedIn(known)) await session.ensure(known);
    return isSignedIn(session.current());
  }

  /** @param {Credentials} credentials @returns {Promise<{sessionId: string, scope: string}>} */
  async function login({ username, password, remember, scope, clientId, deviceName }) {
    const json = { username, password, remember, scope, client_id: clientId, device_name: deviceName, transport: 'cookie' };
    const known = await session.locked(async () => {
      session.signal().throwIfAborted();
      const from = platform.now();
      const reply = await ask(platform, `${base}login`, { json });
      if (!reply.ok || !isTokenAnswer(reply.body)) throw errorOf(reply);
      if (platform.origin !== new URL(base).origin) await provoke(reply.body.access_token);
      return session.accept(reply.body, from);
    });
    return { sessionId: known.sessionId, scope: known.scope };
  }

  /** Find out before it matters whether cookies come back from another site. @param {string | undefined} token */
  async function provoke(token) {
    const { body } = await ask(platform, `${base}session`, { method: 'GET', token });
    if (body?.code === 'binding_mismatch' || body?.code === 'token_missing') throw new KeyturnError('cookies_blocked');
  }

  /** @returns {Promise<void>} */
  async function logout() {
    const { sessionId } = session.current();
    session.hush();
    await session.locked(async () => {
      session.signal().throwIfAborted();
      const now = session.current();
      if (now.sessionId && sessionId && now.sessionId !== sessionId) throw new KeyturnError('session_changed');
      const reply = await ask(platform, `${base}logout`, { token: now.token });
      if (!reply.ok) throw errorOf(reply);
      session.leave();
    });
  }

  return {
    resume,
    login,
    logout,

    /** @returns {Promise<number>} how many sessions ended */
    async logoutAll() {
      session.hush();
      return ended(await change('logout-all', {}, () => session.leave()));
    },

    /** @returns {Promise<Record<string, any> | null>} the claims of the access token; null when signed out */
    async session() {
      return (await resume()) ? api('GET', 'session') : null;
    },

    /** @returns {Promise<Array<Record<string, any>>>} where the user is signed in */
    async sessions() {
      const { sessions } = await api('GET', 'sessions');
      return sessions;
    },

    /** @param {string} id @returns {Promise<void>} */
    async endSession(id) {
      await api('DELETE', `sessions/${encodeURIComponent(id)}`);
      if (id === session.current().sessionId) session.leave();
    },

    /** @returns {Promise<number>} how many sessions ended */
    async endOtherSessions() {
      return ended(await api('DELETE', 'sessions'));
    },

    /** @param {{password: string}} proof @returns {Promise<void>} */
    async stepUp({ password }) {
      await change('step-up', { password }, (reply, from) => {
        if (!isTokenAnswer(reply.body)) throw errorOf(reply);
        session.accept(reply.body, from);
      });
    },
  };
}

/** @param {any} body @returns {number} */
const ended = (body) => (Number.isInteger(body?.ended) ? body.ended : 0);
