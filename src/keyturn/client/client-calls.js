// What is done with the session's token.

/** @import { Answer, Client, Here, Known, Session, SignedIn } from './client-types.js' */

import { codeOf, nextMove } from './client-rules.js';
import { ask, KeyturnError, unless } from './client-wire.js';

/** @param {Here} here @param {Session} session @returns {Omit<Client, 'state' | 'websocket' | 'on' | 'close'>} */
export function makeCalls(here, session) {
  const { fetch, now, routes, origins, origin, base } = here;
  const { locked, leave, hush, obtain, refresh, current } = session;
  const home = new URL(routes);

  /** Send with the current token, and again with a newer one where that may help; never as another session.
   * @param {(known: Known) => Promise<Answer>} send @param {boolean} [must] be signed in @returns {Promise<any>} */
  async function persist(send, must) {
    const before = current();
    const signal = session.signal();
    let known = await session.fresh();
    signal.throwIfAborted();
    const { session_id } = known;
    if (!session_id && (must || before.session_id)) throw new KeyturnError('signed_out');
    for (let repeats = 0; ; repeats++) {
      const answer = await send(known).catch((error) => error);
      known.used ||= answer.ok;
      const move = nextMove(answer, known, current(), now(), repeats);
      if (move === 'refresh') {
        known.refused = true;
        await refresh(known);
      }
      known = current();
      if (move === 'give' || !known.session_id) {
        if (answer instanceof Error) throw answer;
        return answer.body;
      }
      if (known.session_id !== session_id) throw new KeyturnError('session_changed');
    }
  }

  /** @param {string} path @param {string} [method] */
  const api = (path, method = 'GET') =>
    persist(({ access_token: token }) => ask(here, path, { method, token, signal: session.signal() }).then(good), true);

  /** The same while no tab refreshes: it changes the session.
   * @param {(token?: string) => Promise<any>} send */
  const change = (send) =>
    persist(
      (known) =>
        locked(async () => {
          const { session_id, access_token } = current();
          if (session_id !== known.session_id) throw new KeyturnError('session_changed');
          return good(await send(access_token));
        }),
      true,
    );

  return {
    async resume() {
      const known = current();
      if (!known.session_id) await refresh(known);
      return !!current().session_id;
    },

    login: ({ clientId, deviceName, ...rest }) =>
      locked(async () => {
        const json = { ...rest, client_id: clientId, device_name: deviceName, transport: 'cookie' };
        await obtain('login', { json }, async ({ access_token: token }) => {
          // Do cookies come back from another site? Better to know now than with the first call.
          if (home.origin !== origin) await ask(here, 'session', { method: 'GET', token }).catch(blocked);
          return true;
        });
        const { session_id: sessionId, scope } = /** @type {SignedIn} */ (current());
        return { sessionId, scope };
      }),

    logout() {
      hush();
      return locked(async () => {
        await ask(here, 'logout', { token: current().access_token });
        leave();
      });
    },

    logoutAll() {
      hush();
      return change(async (token) => {
        const { ended } = await ask(here, 'logout-all', { token });
        leave();
        return ended;
      });
    },

    session: async () => ((await session.fresh()).session_id ? api('session') : null),

    sessions: async () => (await api('sessions')).sessions,

    async endSession(id) {
      await api(`sessions/${encodeURIComponent(id)}`, 'DELETE');
      if (id === current().session_id) leave();
    },

    endOtherSessions: async () => (await api('sessions', 'DELETE')).ended,

    stepUp: (json) => change((token) => obtain('step-up', { token, json })),

    async fetch(input, init) {
      const outer = session.signal();
      const given = /** @type {Partial<Request>} */ (input);
      const { credentials, referrer, referrerPolicy } = given;
      const url = new URL(given.url ?? `${input}`, base());
      if (!origins.has(url.origin) || new Headers(init?.headers ?? given.headers).has('Authorization')) return fetch(input, init);
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
          if (status !== 401 || !origins.has(new URL(body.url || url).origin)) return { body, ok };
          return { body, status, code: codeOf(await body.clone().json().catch(() => {}), headers.get('WWW-Authenticate')) };
        }),
      );
    },
  };
}

/** @param {any} body @returns {Answer} */
const good = (body) => ({ ok: true, body });

/** @param {KeyturnError} error */
function blocked({ code }) {
  if (/^(binding_mismatch|token_missing)$/.test(code)) throw new KeyturnError('cookies_blocked');
}
