// What tabs of one origin share: a lock, and a channel.

import { readMessage, written } from './client-rules.js';

/** @typedef {import('./client-rules.js').Message} Message */

// A tab that holds the lock and hangs must not hold up the others for good.
const PATIENCE = 10_000;
const BUSY = Symbol('busy');

/**
 * @param {string} name of the lock and the channel
 * @param {import('./client-wire.js').Platform} platform
 * @param {(message: Message) => void} hear
 */
export function joinTabs(name, platform, hear) {
  const { locks } = platform;
  const channel = opened(name, platform);
  if (channel) {
    channel.onmessage = ({ data }) => {
      const message = readMessage(data);
      if (message) hear(message);
    };
  }
  /** @type {Promise<unknown>} */
  let last = Promise.resolve();

  /** @param {Message} message @returns {boolean} whether anybody could hear it */
  function tell(message) {
    try {
      channel?.postMessage(written(message));
    } catch {
      return false; // closed
    }
    return !!channel;
  }

  /**
   * Do something while no other tab does. Without locks: while nothing else here does.
   *
   * @template T
   * @param {(waited: boolean) => Promise<T>} work is told whether somebody else was at it
   * @returns {Promise<T>}
   */
  async function locked(work) {
    let began = false;
    /** @param {boolean} waited */
    const begin = (waited) => {
      began = true;
      platform.clearTimeout(timer);
      return work(waited);
    };
    const patience = new AbortController();
    const timer = platform.setTimeout(() => patience.abort(), PATIENCE);
    try {
      if (!locks) return await (last = last.then(() => begin(false), () => begin(false)));
      const done = await locks.request(name, { ifAvailable: true }, (lock) => (lock ? begin(false) : BUSY));
      if (done !== BUSY) return /** @type {T} */ (done);
      return await locks.request(name, { signal: patience.signal }, () => begin(true));
    } catch (error) {
      if (began) throw error;
      return begin(true); // not granted in time, or not at all (a sandboxed frame)
    }
  }

  return { tell, locked, close: () => channel?.close() };
}

/** @param {string} name @param {import('./client-wire.js').Platform} platform */
function opened(name, platform) {
  try {
    return platform.BroadcastChannel && new platform.BroadcastChannel(name);
  } catch {
    return undefined;
  }
}
