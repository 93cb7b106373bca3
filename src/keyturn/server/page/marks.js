/** The signs of the drawing, alike in the drawing, its legend and the list. */

import { s } from './dom.js';

const SHAPES = {
  start: () => s('circle', { r: 5 }),
  refresh: () => s('circle', { r: 4 }),
  reissue: () => s('circle', { r: 5 }),
  recovery: () => s('path', { d: 'M0-6 6 0 0 6-6 0Z' }),
  retry: () => s('path', { d: 'M4.5-3A5.5 5.5 0 1 0 5.5 1M5-6v3.5H1.5' }),
  refused: () => s('path', { d: 'M-4-4 4 4M4-4-4 4' }),
  alarm: () => s('path', { d: 'M0-7 7 6H-7Z' }),
  end: () => s('path', { d: 'M-4.5-4.5h9v9h-9Z' }),
};

/** A sign around (x, y). */
export function sign(name, x = 0, y = 0) {
  const shape = SHAPES[name]();
  shape.setAttribute('class', `sign ${name}`);
  shape.setAttribute('transform', `translate(${x} ${y})`);
  return shape;
}

/** A sign in a small picture of its own, for text. */
export const picture = (name) =>
  s('svg', { width: 16, height: 16, viewBox: '-8 -8 16 16', 'aria-hidden': 'true', focusable: 'false' }, sign(name));
