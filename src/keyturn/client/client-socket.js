// WebSockets that live as long as the session.

import { KeyturnError } from './client-errors.js';
import { isSignedIn } from './client-session.js';

// What the server closes with when a session is over.
const UNAUTHORIZED = 4401;

/**
 * @param {import('./client-session.js').Session} session
 * @param {ReadonlySet<string>} origins
 * @param {import('./client-wire.js').Platform} platform
 * @param {(type: string, detail: object) => void} emit
 */
export function makeWebsocket(session, origins, platform, emit) {
  /**
   * @param {string | URL} url
   * @param {{renew?: (socket: WebSocket, token: string) => void}} [options]
   * @returns {Promise<WebSocket>}
   */
  return async function websocket(url, { renew } = {}) {
    const target = new URL(url, platform.base);
    target.protocol = target.protocol.replace(/^http/, 'ws');
    const { origin } = new URL(target.href.replace(/^ws/, 'http'));
    if (!origins.has(origin)) throw new TypeError(`${origin} is not one of the origins that may see the access token`);
    let known = session.current();
    if (known.state === 'unknown') await session.ensure(known);
    known = session.current();
    if (isSignedIn(known) && known.until <= platform.now()) await session.ensure(known);
    known = session.current();
    if (!isSignedIn(known)) throw new KeyturnError('signed_out');
    const { sessionId } = known;
    let { token } = known;
    const socket = new platform.WebSocket(target.href, token ? ['keyturn', token] : ['keyturn']);

    /** @param {import('./client-rules.js').Known} next */
    const follow = (next) => {
      if (next.sessionId !== sessionId) {
        session.followers.delete(follow);
        socket.close(UNAUTHORIZED, 'signed_out');
      } else if (renew && next.token && next.token !== token && socket.readyState === 1) {
        token = next.token;
        try {
          renew(socket, token);
        } catch (error) {
          emit('error', { error, during: 'renew' });
        }
      }
    };
    session.followers.set(follow, !!renew);
    session.plan();
    socket.addEventListener('open', () => follow(session.current()));
    socket.addEventListener('close', () => session.followers.delete(follow));
    return socket;
  };
}
