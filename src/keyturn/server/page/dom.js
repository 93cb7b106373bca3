/** Elements without markup: text is only ever text here, so nothing that a server or a user says can become HTML. */

const SVG = 'http://www.w3.org/2000/svg';

/** Make an HTML element; `onclick` and its like are listeners, true is an empty attribute, null and false are none. */
export const h = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);

/** Make an SVG element. */
export const s = (tag, attributes = {}, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);

/** The element with that id. */
export const $ = (id) => document.getElementById(id);

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Say something to who cannot see it; the same sentence twice is said twice. */
export function announce(sentence) {
  const line = h('p', {}, sentence);
  $('announcer').append(line);
  while ($('announcer').children.length > 5) $('announcer').firstChild.remove();
}

/** The ends of a secret: enough to tell two apart, useless to who reads it. */
export function short(secret) {
  const text = String(secret);
  return text.length > 18 ? `${text.slice(0, 8)}…${text.slice(-4)}` : text;
}

/** A moment as the clock on the wall tells it. */
export const clock = (moment) =>
  new Date(moment).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });

/** A moment of the last hours as that clock, an older one with its day. */
export const when = (moment) => (Date.now() - moment < 12 * 3600_000 ? `at ${clock(moment)}` : `on ${new Date(moment).toLocaleString()}`);

/** So many of a thing, in words. */
export const counted = (number, thing) => `${number} ${thing}${number === 1 ? '' : 's'}`;

/** Seconds in words that fit. */
export function span(seconds) {
  const left = Math.max(0, Math.round(seconds));
  if (left < 120) return `${left} s`;
  if (left < 7200) return `${Math.round(left / 60)} min`;
  return left < 172800 ? `${Math.round(left / 3600)} h` : `${Math.round(left / 86400)} days`;
}

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
