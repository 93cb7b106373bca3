/** Attacks by way of the browser: a stranger's form, planted cookies, and a script in the page itself. */

import { h } from './dom.js';
import { copied, replayed } from './attacks-tokens.js';
import { verdict } from './room.js';

export const forgedForm = {
  id: 'forged-form',
  title: 'A forged form',
  idea: 'A stranger’s page, shown in the frame below, sends a form to this server to sign you out without your knowing.',
  async run(stage) {
    const frame = h('iframe', { sandbox: 'allow-scripts allow-forms', title: 'A stranger’s page', src: '/demo/evil' });
    const asked = stage.fact('StrangerAsked');
    stage.place.replaceChildren(frame);
    const seen = await asked;
    stage.tell({
      who: 'Stranger’s page',
      method: seen.method,
      path: seen.path,
      status: seen.status,
      code: seen.code,
      sent: [
        `Origin: ${seen.origin}`,
        `Sec-Fetch-Site: ${seen.site}`,
        seen.cookies.length ? `Cookie: ${seen.cookies.join(', ')}` : 'no cookies: the browser kept them at home',
      ],
      say: seen.cookies.length
        ? 'Sent by the form in the frame below, as the server saw it.'
        : 'Sent by the form in the frame below. To the server this is a sign-out of nobody: there is nothing to end.',
    });
    const copy = await copied(stage, { say: 'No browser sends your cookies with that form. So that you see what would happen, the demonstration takes them,' });
    const forced = await replayed(stage, copy, 'form', 'and plays a browser that knows no SameSite: the same form, with your cookies. The server refuses it.', 'Stranger’s page, played');
    const me = await stage.send({ who: 'Your page', path: '/demo/me', bearer: await stage.token(), say: 'Still signed in.' });
    const harmless = (seen.cookies.length === 0 || seen.code === 'cross_site') && forced.code === 'cross_site';
    return verdict(
      harmless && me.status === 200 && stage.client.state === 'signed-in',
      'stopped',
      'The browser keeps the cookies at home where a stranger asks (SameSite), and says on whose behalf it asks (Sec-Fetch-Site, Origin). Either one alone kept you signed in.',
    );
  },
};

export const planted = {
  id: 'planted',
  title: 'A planted cookie',
  idea: 'A script cannot read the cookies. But can it put others in their place, so that you carry on in the thief’s session?',
  async run(stage) {
    const { refresh_cookie: name, prefix } = stage.about.settings;
    const prefixed = name.startsWith('__Host-');
    const refresh = (say) => stage.send({ who: 'Your page', method: 'POST', path: `${prefix}/refresh`, say });
    const ours = (answer) => answer.status === 200 && answer.json.session_id === stage.session();
    const attempts = cookies(name, prefix);
    let doubled;
    try {
      plant(stage, attempts.same, 'The browser keeps a script from overwriting a cookie that is HttpOnly.');
      const same = await refresh('The session is the same as before.');
      plant(stage, attempts.alike, 'A look-alike: a Unicode space before the name, which careless servers trim away.');
      const alike = await refresh('Names are compared octet for octet: the look-alike is no cookie of ours.');
      plant(stage, attempts.prefixed, 'With the prefix that the cookies bear outside of development.');
      stage.note(
        'Browser',
        isThere('__Host-Http-') ? UNKNOWN_PREFIX : 'Refused: a cookie with this prefix comes from a server or not at all.',
      );
      plant(stage, attempts.elsewhere, 'The same name for another path. Without the prefix the browser allows it, and sends both.');
      doubled = await refresh((answer) =>
        answer.status === 200
          ? 'The browser refused it: the prefix allows no other path.'
          : 'The name came twice, so neither counts, and the server clears it.',
      );
      const held = prefixed ? ours(doubled) : doubled.status === 401 && doubled.code === 'token_missing';
      return verdict(ours(same) && ours(alike) && held, 'stopped', prefixed ? PREFIXED : SPOILT);
    } finally {
      for (const cookie of Object.values(attempts).slice(1)) document.cookie = `${cookie}; Max-Age=0`;
      if (doubled?.status !== 200) await stage.watching('Your page', () => stage.client.logout());
    }
  },
};

const UNKNOWN_PREFIX = 'This browser does not know the prefix yet, and let a script make the cookie.';
const PREFIXED = 'Nothing that was planted was ever taken for yours: what the browser let in, the server did not take for its own.';
const SPOILT =
  'Nothing that was planted was ever taken for yours. What a script can do is spoil: with a doubled name you have to sign in again. Outside of development the cookie’s prefix keeps it from doing even that this way.';

/** What a script may try to set. The first is the cookie's very own name and path: were it taken away again, so were the cookie. */
const cookies = (name, prefix) => ({
  same: `${name}=planted; Path=/`,
  alike: `\u2003${name}=planted; Path=/`,
  prefixed: `__Host-Http-${name.replace(/^__Host-Http-/, '')}_planted=planted; Secure; Path=/`,
  elsewhere: `${name}=planted; Path=${prefix}`,
});

const isThere = (prefix) => document.cookie.split('; ').some((cookie) => cookie.startsWith(prefix));

export const yourPage = {
  id: 'your-page',
  title: 'A script in your page',
  idea: 'The honest one. A script that was smuggled into the page need not carry anything away. It simply acts, here and now, as you.',
  async run(stage) {
    const seen = await stage.watching('Script in the page', async () => {
      await stage.client.fetch('/demo/me');
      await stage.client.sessions();
    });
    return verdict(
      seen.length > 1 && seen.every((request) => request.status === 200),
      'open',
      'This is not stopped: a script in your page can act as you while the page is open. Of the session it cannot carry away what lasts, the two cookies; but what you type in that page, a password too, it can read. Keep strangers’ scripts out: a strict Content-Security-Policy, Trusted Types, few dependencies.',
    );
  },
};

function plant(stage, cookie, say) {
  document.cookie = cookie;
  stage.tell({ who: 'Script in the page', sent: [`document.cookie = "${cookie}"`], say });
}
