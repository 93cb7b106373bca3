/** Attacks and accidents around refresh tokens: a replay, two tabs at once, an answer lost on the way. */

import { decoded } from './token.js';
import { copied, replayed } from './attacks-tokens.js';
import { verdict } from './room.js';

const refresh = (stage, who, say) => stage.send({ who, method: 'POST', path: `${stage.about.settings.prefix}/refresh`, say });
const generationOf = (answer) => (answer.json?.access_token ? decoded(answer.json.access_token).claims.gen : -1);
const told = (answer) => (answer.status === 200 ? `Generation ${generationOf(answer)}.` : undefined);
/** A refresh within the leeway turns nothing, so a few more may be needed than two. */
const MOST_TURNS = 6;

export const replay = {
  id: 'replay',
  title: 'Yesterday’s refresh token',
  idea: 'Malware copied the cookie jar. You go on as usual; later the thief tries what was copied, binding cookie and all.',
  async run(stage) {
    const copy = await copied(stage, { say: (answer) => `Copied ${(answer.json?.copied ?? []).join(' and ')}.` });
    const stolen = copy.generation;
    let now = stolen;
    for (let turn = 0; now < stolen + 2 && turn < MOST_TURNS; turn++) {
      await stage.outwait('You go on; the next turn is possible after the leeway');
      const turned = await refresh(stage, 'Your page', told);
      now = Math.max(now, generationOf(turned));
      await stage.send({
        who: 'Your page',
        path: '/demo/me',
        bearer: turned.json?.access_token,
        say: 'Used, so the server knows that it arrived.',
      });
    }
    const answer = await replayed(stage, copy, 'refresh');
    stage.note(
      'Server',
      `A token of generation ${stolen}, while the session is at ${now}. Two parties hold copies, and nobody can tell which is you: the session ends.`,
    );
    await stage.watching('Your page', () => stage.client.fetch('/demo/me'));
    return verdict(
      answer.status === 401 && answer.code === 'session_ended' && stage.client.state === 'signed-out',
      'noticed',
      'Every refresh token is spent once. A spent one that comes back after its successor was used is an alarm: the session ends for both, you are told, and the copies are worthless. It is an alarm, not a lock: a thief who comes before you is let in until your next refresh raises it, and one who always comes within the leeway after you is not noticed.',
    );
  },
};

export const twoTabs = {
  id: 'two-tabs',
  title: 'Two tabs at once',
  idea: 'No theft, but it looks like one: two tabs send the same refresh token in the same instant. (The client would take turns; here it is left out.)',
  async run(stage) {
    await stage.outwait('Waiting until the leeway after the last turn is over');
    const answers = await Promise.all([refresh(stage, 'Tab 1', told), refresh(stage, 'Tab 2', told)]);
    const [one, other] = answers.map(generationOf);
    if (!stage.about.settings.leeway && answers.some((answer) => answer.code === 'session_ended')) return strict(stage);
    const me = await stage.send({ who: 'Your page', path: '/demo/me', bearer: answers[1].json?.access_token, say: 'Still signed in.' });
    return verdict(
      answers.every((answer) => answer.status === 200) && one === other && me.status === 200,
      'harmless',
      `One turned the key, the other was given the same successor: both are at generation ${one}. Nobody is accused, nobody is signed out.`,
    );
  },
};

export const lostAnswer = {
  id: 'lost-answer',
  title: 'The answer lost on the way',
  idea: 'The server turns the key, and the answer never arrives: a tunnel, a closed lid. The browser is left with a spent token.',
  async run(stage) {
    await stage.outwait('Waiting until the leeway after the last turn is over');
    await stage.send({ who: 'The line', method: 'POST', path: '/demo/lose', say: 'The next answer to a refresh will be cut off.' });
    const { prefix } = stage.about.settings;
    // A client of its own, as a new tab would have one: it begins with a refresh.
    const tab = stage.createClient({ baseUrl: new URL(prefix, location.href), resume: false, name: 'lost-answer' });
    let resumed = false;
    const seen = await stage.watching('A new tab', async () => {
      resumed = await tab.resume();
    });
    tab.close();
    if (!resumed && !stage.about.settings.recovery_window) return strict(stage);
    const refreshes = seen.filter((request) => request.path === `${prefix}/refresh`);
    const lost = refreshes.some((request) => request.status === 0 || request.broken);
    const me = await stage.send({ who: 'Your page', path: '/demo/me', bearer: await stage.token(), say: 'Nobody was signed out.' });
    return verdict(
      resumed && lost && refreshes.at(-1)?.status === 200 && me.status === 200,
      'harmless',
      'The client tries again with the token that it has, and gets the same successor: at once within the leeway, and later for as long as nobody has used it. No alarm, no second branch.',
    );
  },
};

/** With no leeway or no recovery, an accident cannot be told from a theft: clear away what is left of the session, and say so. */
async function strict(stage) {
  await stage.watching('Your page', () => stage.client.logout());
  return verdict(
    stage.client.state === 'signed-out',
    'noticed',
    'This server is strict: its leeway or its recovery window is 0, and every second use of a refresh token counts as theft. The session is ended, and you sign in again. Safe, and unkind to accidents.',
  );
}
