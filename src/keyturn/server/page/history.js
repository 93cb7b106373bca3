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

/** Put a fact on top of the list, newest first; what matters is also said aloud. */
export function tell(fact, { ours, aloud }) {
  const text = ours ? fact.text : `Another session: ${fact.text}`;
  $('log').prepend(
    h(
      'li',
      { 'data-type': fact.type, 'data-mark': fact.mark },
      picture(fact.mark),
      h('time', { datetime: new Date(fact.at).toISOString() }, clock(fact.at)),
      h('span', { class: fact.mark === 'alarm' ? 'grave' : null }, text),
    ),
  );
  while ($('log').children.length > KEPT) $('log').lastChild.remove();
  if (aloud && (GRAVE.has(fact.mark) || fact.mark === 'recovery' || fact.mark === 'refresh')) announce(text);
}
