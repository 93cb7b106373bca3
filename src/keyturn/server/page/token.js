/** The access token, opened: a JWT is signed, not secret. */

import { $, clock, h, short, span } from './dom.js';

/** The parts of a compact JWT: {header, claims, segments}. */
export function decoded(token) {
  const segments = token.split('.');
  const [header, claims] = segments.slice(0, 2).map((segment) => JSON.parse(text(segment)));
  return { header, claims, segments };
}

/** Write a value as a segment of a JWT. */
export function encoded(value) {
  const octets = new TextEncoder().encode(JSON.stringify(value));
  return btoa(String.fromCharCode(...octets))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}

/** Show a token in its place on the page; without one, say that there is none. */
export function showToken(token) {
  $('token-card').replaceChildren(...(token ? opened(decoded(token)) : [h('p', { class: 'muted' }, 'Sign in, and it is here.')]));
}

const HEADER = {
  alg: 'How it is signed. A verifier compares the whole header with those it issues; a token cannot choose.',
  kid: 'Which key signed it: the thumbprint of a public key, found in the server’s key set.',
  typ: 'What it is: an access token (RFC 9068), and nothing else that also happens to be a JWT.',
};
const moment = (seconds) => `${clock(seconds * 1000)}`;
const CLAIMS = {
  iss: () => 'Who issued it: this server.',
  sub: () => 'Whom it speaks for: an id that never changes, not a name or an e-mail address.',
  aud: () => 'For which services it is good.',
  client_id: () => 'Which application signed in.',
  iat: (value) => `Issued at ${moment(value)}.`,
  exp: (value, all) => `Good until ${moment(value)}: ${span(value - all.iat)} in all.`,
  jti: () => 'Its own number, so that two tokens can be told apart.',
  sid: () => 'The session it belongs to: one sign-in on one device.',
  gen: () => 'The generation of the session it was made in. Each turn of the key adds one.',
  auth_time: (value) => `When the password was proved: ${moment(value)}. Refreshing never renews this.`,
  bnd: () => 'A digest of the binding cookie. A service that asks for that cookie, as this one does, takes the token only together with it.',
  scope: () => 'What it may be used for.',
  amr: () => 'How the user proved who they are.',
  realm: () => 'Which user area it belongs to.',
};

function opened({ header, claims, segments }) {
  return [
    h(
      'p',
      { class: 'raw', id: 'raw-token' },
      h('span', { class: 'part-header' }, segments[0]),
      '.',
      h('span', { class: 'part-claims' }, segments[1]),
      '.',
      h('span', { class: 'part-signature' }, short(segments[2])),
    ),
    h('p', { class: 'muted small' }, 'Header, claims, signature. The signature is shortened here.'),
    h(
      'div',
      { class: 'claims' },
      h(
        'div',
        {},
        h('h3', {}, 'Header'),
        list(header, (name) => HEADER[name]),
      ),
      h(
        'div',
        {},
        h('h3', {}, 'Claims'),
        list(claims, (name, value) => CLAIMS[name]?.(value, claims) ?? 'A claim of the application.'),
      ),
    ),
  ];
}

function list(values, meaning) {
  return h(
    'dl',
    {},
    Object.entries(values).map(([name, value]) =>
      h(
        'div',
        {},
        h('dt', {}, name),
        h('dd', { class: 'value' }, typeof value === 'string' ? value : JSON.stringify(value)),
        h('dd', { class: 'means' }, meaning(name, value)),
      ),
    ),
  );
}

function text(segment) {
  const octets = atob(segment.replaceAll('-', '+').replaceAll('_', '/'));
  return new TextDecoder().decode(Uint8Array.from(octets, (octet) => octet.charCodeAt(0)));
}
