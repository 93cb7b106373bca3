/** Attacks with access tokens: carried away, forged, and used after a sign-out. */

import { decoded, encoded } from './token.js';
import { verdict } from './room.js';
import { short, span } from './dom.js';
import { send } from './wire.js';

const API = '/demo/me';

export const exfiltrated = {
  id: 'exfiltrated',
  title: 'A stolen access token',
  idea: 'A script in the page has read the access token and sent it to the thief, who calls the API with it from elsewhere.',
  async run(stage) {
    const token = await stage.token();
    stage.note('Script in the page', `Took the access token ${short(token)} and sent it out.`);
    const outside = await stage.send({
      who: 'Thief',
      path: API,
      bearer: token,
      credentials: 'omit',
      say: 'The signature is right, the time is right, the session lives. But the cookie is missing.',
    });
    const inside = await stage.send({ who: 'Your page', path: API, bearer: token, say: 'The same token, where it belongs.' });
    return verdict(
      outside.status === 401 && outside.code === 'binding_mismatch' && inside.status === 200,
      'stopped',
      'The token names the binding cookie, and no script can read that cookie. Away from this browser it opens nothing here. (A service elsewhere that is told not to ask for the cookie would take it until its time is over.)',
    );
  },
};

export const unsigned = {
  id: 'unsigned',
  title: 'A token signed by nobody',
  idea: 'The thief opens a real token, writes another name into it, and says in its header that it needs no signature.',
  async run(stage) {
    const token = await stage.token();
    const { header, claims, segments } = decoded(token);
    const forged = encoded({ ...claims, sub: 'admin' });
    const none = `${encoded({ ...header, alg: 'none' })}.${forged}.`;
    const kept = `${segments[0]}.${forged}.${segments[2]}`;
    const first = await stage.send({
      who: 'Thief',
      path: API,
      bearer: none,
      say: 'alg is "none", sub is "admin", the signature is empty. The cookies are the real ones.',
    });
    const second = await stage.send({
      who: 'Thief',
      path: API,
      bearer: kept,
      say: 'The true header and signature, with the forged claims between them.',
    });
    return verdict(
      [first, second].every((answer) => answer.status === 401 && answer.code === 'token_invalid'),
      'stopped',
      'A header cannot choose how it is checked: it is compared with those that this server issues. No claim in a token is read before its signature holds.',
    );
  },
};

export const afterLogout = {
  id: 'after-logout',
  title: 'Signed out, then the old tokens',
  idea: 'The thief holds copies of everything: the access token, with time left, and the cookies. Then you sign out.',
  async run(stage) {
    const token = await stage.token();
    const copy = await copied(stage, { bearer: token, say: 'Malware copies the cookie jar, which no script could, and the page’s memory.' });
    const before = await replayed(stage, copy, 'session', 'With everything at hand the thief is let in, until you sign out.');
    await stage.watching('Your page', () => stage.client.logout());
    const access = await replayed(stage, copy, 'session', 'Within its time, rightly signed, and with its cookie. But its session is over.');
    const refresh = await replayed(stage, copy, 'refresh');
    return verdict(
      stage.client.state === 'signed-out' && before.status === 200 && [access, refresh].every(isOver),
      'stopped',
      `Signing out ends the session on the server, not just in the browser. Its access tokens die with it: at once here, and within ${span(stage.about.settings.staleness_bound)} at services that follow this server’s revocations. One that only looks at the signature takes them until their time is over.`,
    );
  },
};

const isOver = (answer) => answer.status === 401 && answer.code === 'session_ended';

/** Let malware copy what this browser holds; gives {id, generation}. */
export async function copied(stage, { bearer, say }) {
  const answer = await stage.send({ who: 'Thief', method: 'POST', path: '/demo/thief/copy', bearer, say });
  return wanted(answer);
}

/** Let the thief try what was copied, from elsewhere: 'refresh', 'session' or 'form'; gives the server's answer. */
export async function replayed(stage, { id }, what, say, who = 'Thief') {
  const body = { id, what, with_binding: true };
  const { request, answer } = wanted(await send({ method: 'POST', path: '/demo/thief/replay', body }));
  stage.tell({
    who,
    method: request.method,
    path: request.path,
    sent: Object.entries(request.headers).map(([name, value]) => `${name}: ${value}`),
    status: answer.status,
    code: answer.code,
    say: say ?? answer.detail,
  });
  return answer;
}

/** What an answer of the demonstration holds; without it the attack cannot go on. */
function wanted({ status, json }) {
  if (status !== 200) throw new Error(json?.detail ?? 'the server gave no answer.');
  return json;
}
