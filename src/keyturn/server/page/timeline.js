/** The drawing: a lane for each generation, a bar for each access token, and the line that is now. */

import { $, s } from './dom.js';
import { sign } from './marks.js';

const GUTTER = 62;
const HEAD = 26;
const FOOT = 24;
const LANE = 44;
const BAR = 16;
/** How many tokens of one generation are drawn beside each other. */
const BESIDE = 3;
/** Signs of one generation that would cover each other are moved apart by so many pixels. */
const APART = 13;

/** Draw the life into the page's drawing, again and again; `held` gives {generation, until} of the page's token. */
export function timeline(story, lifetime, held) {
  const drawing = $('timeline');
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  const draw = () => {
    if (!document.hidden) drawing.replaceChildren(...parts(drawing, story.lanes(), lifetime * 1000, held()));
  };
  setInterval(draw, calm ? 1000 : 250);
  new ResizeObserver(draw).observe(drawing);
  return draw;
}

function parts(drawing, { lanes, newest, over }, lifetime, held) {
  const frame = frameOf(drawing, lifetime);
  const shown = lanes.slice(-frame.rows);
  const rows = new Map(shown.map((lane, index) => [lane.generation, HEAD + LANE * (index + 0.5)]));
  return [
    ...grid(frame, lifetime),
    ...shown.flatMap((lane) => laneOf(frame, lane, rows.get(lane.generation), { newest, over, held })),
    ...shown.flatMap((lane) => turnOf(frame, lane, rows)),
    ...shown.flatMap((lane) => alarmsOf(frame, lane)),
    ...nowLine(frame),
    ...shown.flatMap((lane) => signsOf(frame, lane, rows.get(lane.generation))),
  ];
}

function frameOf(drawing, lifetime) {
  const width = drawing.clientWidth || 640;
  const height = drawing.clientHeight || 272;
  const now = Date.now();
  const past = lifetime * (width < 480 ? 1.6 : 3);
  const whole = past + lifetime * 1.15;
  const x = (moment) => GUTTER + ((moment - now + past) / whole) * (width - GUTTER);
  return { width, height, now, past, x, rows: Math.max(1, Math.floor((height - HEAD - FOOT) / LANE)) };
}

function grid({ width, height, now, past, x }, lifetime) {
  const step = niceStep((past + lifetime) / (width < 480 ? 4 : 8));
  const ticks = [];
  for (let away = -Math.floor(past / step) * step; away <= lifetime; away += step) {
    const at = x(now + away);
    if (Math.abs(away) < 1 || at < GUTTER + 16 || at > width - 18) continue;
    ticks.push(s('line', { class: 'tick', x1: at, x2: at, y1: HEAD, y2: height - FOOT }));
    ticks.push(s('text', { x: at, y: height - 7, 'text-anchor': 'middle' }, label(away)));
  }
  return ticks;
}

function laneOf({ width, x, now }, lane, y, { newest, over, held }) {
  const parts = [
    s('line', { class: 'lane', x1: GUTTER, x2: width, y1: y, y2: y }),
    s('text', { class: lane.generation === newest ? 'name newest' : 'name', x: 0, y: y + 4 }, `gen ${lane.generation}`),
  ];
  lane.tokens.slice(-BESIDE).forEach((token, index, all) => {
    const height = BAR / all.length;
    const top = y - BAR / 2 + index * height;
    const end = over === null ? token.to : Math.min(token.to, Math.max(over, token.from));
    parts.push(...bar('spent', x(token.from), x(Math.min(end, now)), top, height));
    parts.push(...bar('left', x(Math.max(now, token.from)), x(end), top, height));
    if (end < token.to) parts.push(...bar('void', x(end), x(token.to), top, height));
    if (isHeld(held, lane, token, index === all.length - 1) && over === null && token.to > now)
      parts.push(...bar('held', x(token.from) - 1, x(token.to) + 1, top - 1, height + 2));
  });
  return parts;
}

const isHeld = (held, lane, token, last) => last && held !== null && held.generation === lane.generation;

function bar(name, from, to, y, height) {
  const left = Math.max(from, GUTTER);
  return to - left > 0.5 ? [s('rect', { class: name, x: left, y, width: to - left, height: Math.max(1, height - 1), rx: 3 })] : [];
}

function turnOf({ x }, lane, rows) {
  const above = rows.get(lane.generation - 1);
  if (lane.turned === null || above === undefined || x(lane.turned) < GUTTER) return [];
  const at = x(lane.turned);
  return [s('path', { class: 'turn', d: `M${at} ${above}V${rows.get(lane.generation)}` })];
}

function alarmsOf({ height, x }, lane) {
  return lane.marks
    .filter((fact) => fact.mark === 'alarm' && x(fact.at) > GUTTER)
    .map((fact) => s('line', { class: 'alarm-line', x1: x(fact.at), x2: x(fact.at), y1: HEAD, y2: height - FOOT }));
}

function nowLine({ height, now, x }) {
  return [
    s('line', { class: 'now', x1: x(now), x2: x(now), y1: HEAD - 6, y2: height - FOOT }),
    s('text', { class: 'now-text', x: x(now), y: 14, 'text-anchor': 'middle' }, 'now'),
  ];
}

function signsOf({ x }, lane, y) {
  let edge = GUTTER;
  const parts = [];
  for (const fact of lane.marks) {
    if (x(fact.at) < GUTTER + 4) continue;
    const at = Math.max(x(fact.at), edge);
    edge = at + APART;
    parts.push(sign(fact.mark, at, y));
  }
  return parts;
}

function niceStep(least) {
  return [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600].map((seconds) => seconds * 1000).find((step) => step >= least) ?? 7200_000;
}

function label(away) {
  const seconds = Math.round(Math.abs(away) / 1000);
  const text = seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
  return away < 0 ? `−${text}` : `+${text}`;
}
