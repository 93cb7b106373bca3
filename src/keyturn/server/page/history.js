/** The life of the session in words: the list beside the drawing, and its legend. */

import { $, announce, clock, h } from './dom.js';
import { MARKS } from './facts.js';
import { picture } from './marks.js';

/** Older lines go, so that a page left open for a day stays quick. */
const KEPT = 80;
const GRAVE = new Set(['alarm', 'end']);

/** Fill the legend once. */
export function showLegend() {
  $('legend').append(...MARKS.map(([name, meaning]) => h('li', {}, picture(name), meaning)));
}

/** The lines that are there, newest first: {fact, words}. */
const lines = [];

/** Put a fact on top of the list; what matters is also said aloud. */
export function tell(fact, { isMine, aloud }) {
  const words = h('span', { class: fact.mark === 'alarm' ? 'grave' : null }, sentence(fact, isMine));
  $('log').prepend(
    h(
      'li',
      { 'data-type': fact.type, 'data-mark': fact.mark },
      picture(fact.mark),
      h('time', { datetime: new Date(fact.at).toISOString() }, clock(fact.at)),
      words,
    ),
  );
  lines.unshift({ fact, words });
  lines.splice(KEPT);
  while ($('log').children.length > KEPT) $('log').lastChild.remove();
  if (aloud && (GRAVE.has(fact.mark) || fact.mark === 'recovery' || fact.mark === 'refresh')) announce(fact.text);
}

/** Say anew whose each fact is: some are told before the page knows its own session. */
export function retell(isMine) {
  for (const { fact, words } of lines) words.textContent = sentence(fact, isMine);
}

const sentence = (fact, isMine) => (fact.session && !isMine(fact) ? `Another session: ${fact.text}` : fact.text);
