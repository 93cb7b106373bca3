// WebSockets that live as long as the session.

/** @import { Client, Here, Session } from './client-types.js' */

import { KeyturnError } from './client-wire.js';

// As the server closes it.
const UNAUTHORIZED = 4401;

/** @param {Here} here @param {Session} session @returns {Client['websocket']} */
export const makeWebsocket = ({ WebSocket, base, origins, sockets, safely }, { fresh, current, plan }) =>
  async function websocket(url, { renew } = {}) {
    const { href, origin } = new URL(new URL(url, base()).href.replace(/^ws/, 'http'));
    if (!origins.has(origin)) throw new TypeError(`${origin} may not see the access token`);
    let { access_token: token, session_id } = await fresh();
    if (!session_id) throw new KeyturnError('signed_out');
    const socket = new WebSocket(href.replace(/^http/, 'ws'), token ? ['keyturn', token] : ['keyturn']);

    const follower = {
      renews: !!renew,
      follow() {
        const known = current();
        if (known.session_id !== session_id) {
          sockets.delete(follower);
          socket.close(UNAUTHORIZED, 'signed_out');
        } else if (renew && known.access_token && known.access_token !== token && socket.readyState === 1) {
          token = known.access_token;
          safely(renew, socket, token);
        }
      },
    };
    sockets.add(follower);
    plan();
    socket.addEventListener('open', follower.follow);
    socket.addEventListener('close', () => sockets.delete(follower));
    return socket;
  };
