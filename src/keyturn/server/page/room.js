/** The attack room: one card an attack, one attack at a time, and every step on the wire told as it happens. */

import { $, announce, h, pause, short, span } from './dom.js';
import { send, watch } from './wire.js';

/** When this page last saw a refresh answered, in ms: the server's word of it may be a moment late. */
let turned = 0;
watch(({ path, status }) => saw(path, status));

const TITLES = {
  stopped: 'Stopped',
  noticed: 'Noticed, and ended',
  harmless: 'Nothing lost',
  open: 'Not stopped',
  differs: 'It went otherwise than this card tells',
};

/** Fill the room. `world` is {about, client, token(), anchor(), signInAgain()}. */
export function room(attacks, world) {
  let running = null;
  const cards = attacks.map((attack, index) => cardOf(attack, index));
  $('cards').replaceChildren(...cards.map((card) => card.element));

  function cardOf(attack, index) {
    const parts = {
      run: h('button', { type: 'button', class: 'primary', onclick: () => run() }, 'Run the attack'),
      countdown: h('p', { class: 'countdown' }),
      wire: h('ol', { class: 'wire', 'aria-label': `What went over the wire: ${attack.title}` }),
      stage: h('div', { class: 'stage' }),
      outcome: h('div', { class: 'outcome' }),
    };
    const title = `attack-${attack.id}`;
    const element = h(
      'article',
      { class: 'card attack', 'data-attack': attack.id, 'aria-labelledby': title },
      h(
        'div',
        { class: 'attack-plan' },
        h('h3', { id: title }, h('span', { class: 'attack-sign', 'aria-hidden': 'true' }, String(index + 1)), attack.title),
        h('p', { class: 'idea' }, attack.idea),
        h('div', { class: 'attack-foot' }, parts.run, parts.countdown),
      ),
      h('div', { class: 'attack-scene' }, parts.wire, parts.stage, parts.outcome),
    );
    parts.run.setAttribute('aria-describedby', title);

    async function run() {
      if (running) return announce('One attack at a time: another is still under way.');
      if (world.client.state !== 'signed-in')
        return outcome(parts, { outcome: 'signed-out', text: 'There is nothing to steal: nobody is signed in here.' });
      running = attack.id;
      cards.forEach((card) => card.busy(true));
      for (const part of [parts.wire, parts.stage, parts.outcome]) part.replaceChildren();
      element.removeAttribute('data-outcome');
      announce(`${attack.title}: under way.`);
      try {
        outcome(parts, await attack.run(stageOf(parts, world)));
      } catch (error) {
        outcome(parts, { outcome: 'differs', text: `The attack broke off: ${error.message}` });
      } finally {
        running = null;
        cards.forEach((card) => card.busy(false));
      }
    }

    function busy(on) {
      parts.run.setAttribute('aria-disabled', String(on));
      parts.run.textContent = on && running === attack.id ? 'Under way' : parts.wire.childElementCount ? 'Run it again' : 'Run the attack';
      element.setAttribute('aria-busy', String(on && running === attack.id));
    }
    return { element, busy };
  }

  function outcome(parts, verdict) {
    const title = TITLES[verdict.outcome] ?? 'Sign in first';
    const out = verdict.outcome === 'signed-out' || world.client.state === 'signed-out';
    parts.countdown.replaceChildren();
    parts.outcome.replaceChildren(
      h(
        'div',
        { class: `verdict ${verdict.outcome}` },
        h('strong', {}, title),
        h('p', {}, verdict.text),
        out
          ? h('p', { class: 'row' }, h('button', { type: 'button', class: 'again', onclick: () => again(parts) }, 'Sign in again'))
          : null,
      ),
    );
    parts.outcome.closest('.attack').setAttribute('data-outcome', verdict.outcome);
    announce(`${title}. ${verdict.text}`);
  }

  async function again(parts) {
    if (world.client.state !== 'signed-in' && !(await world.signInAgain())) return;
    parts.outcome.querySelector('.again')?.parentElement.remove();
    parts.run.focus();
    announce('Signed in again.');
  }
}

/** What an attack has to play on: it sends, waits and tells. */
function stageOf(parts, world) {
  const tell = (step) => parts.wire.append(stepOf(step));
  return {
    ...world,
    place: parts.stage,
    note: (who, say) => tell({ who, say }),
    tell,
    /** Send a request, tell it, and give the answer. */
    async send({ who, say, ...request }) {
      const answer = await send(request);
      saw(request.path, answer.status);
      const sent = sentBy(request);
      tell({
        who,
        method: request.method ?? 'GET',
        path: request.path,
        sent,
        ...answer,
        say: typeof say === 'function' ? say(answer) : say,
      });
      return answer;
    },
    /** Do something with the client, and tell each request that the page sends meanwhile; gives them. */
    async watching(who, act) {
      const seen = [];
      const end = watch((request) => {
        seen.push(request);
        tell({ ...request, who, sent: request.bearer ? [`Authorization: Bearer ${short(request.bearer)}`] : [] });
      });
      try {
        await act();
      } catch {
        /* what came of it is in the answers */
      } finally {
        end();
      }
      return seen;
    },
    /** Wait until the leeway after the newest turn is over. */
    outwait(why) {
      return this.until(Math.max(world.anchor(), turned) + world.about.settings.leeway * 1000 + 400, why);
    },
    /** Wait until a moment (ms), with a countdown to be seen. */
    async until(until, why) {
      for (let left = until - Date.now(); left > 0; left = until - Date.now()) {
        parts.countdown.textContent = `${why}: ${span(Math.ceil(left / 1000))}`;
        await pause(Math.min(left, 250));
      }
      parts.countdown.textContent = '';
    },
  };
}

function saw(path, status) {
  if (path.endsWith('/refresh') && status === 200) turned = Date.now();
}

function sentBy({ bearer, body, credentials }) {
  return [
    bearer ? `Authorization: Bearer ${short(bearer)}` : null,
    credentials === 'omit' ? 'no cookies' : 'cookies: added by the browser, unseen by scripts',
    body ? `body: ${JSON.stringify(body)}` : null,
  ].filter(Boolean);
}

function stepOf({ who, method, path, sent = [], status, code, broken, say }) {
  const thief = /thief|stranger/i.test(who);
  const lost = status === 0 || broken;
  const shown = lost ? 'no answer' : `${status}${code ? ` ${code}` : ''}`;
  return h(
    'li',
    { 'data-status': status === undefined ? null : String(lost ? 0 : status), 'data-code': code || null },
    h(
      'div',
      { class: 'line' },
      h('span', { class: thief ? 'actor thief' : 'actor' }, who),
      method ? h('code', {}, `${method} ${path}`) : null,
      status === undefined ? null : h('span', { class: `status ${lost ? 'none' : status >= 400 ? 'bad' : 'good'}` }, shown),
    ),
    sent.length
      ? h(
          'ul',
          { class: 'sent' },
          sent.map((line) => h('li', {}, line)),
        )
      : null,
    say ? h('p', { class: 'say' }, say) : null,
  );
}

/** The verdict where things went as told, else one that says they did not. */
export const verdict = (held, outcome, text) =>
  held
    ? { outcome, text }
    : {
        outcome: 'differs',
        text: 'The answers above are not those that this card promises. Perhaps the settings are others; perhaps it is a fault worth reporting.',
      };
