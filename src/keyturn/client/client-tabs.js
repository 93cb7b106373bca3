// What tabs share.

/** @import { Here, Message, Tabs } from './client-types.js' */

import { isMessage } from './client-rules.js';

// A tab that holds the lock and hangs must not hold up the others for good.
const PATIENCE = 10_000;

/** @param {Here} here @param {(message: Message) => void} hear @returns {Tabs} */
export function joinTabs({ lock, locks, BroadcastChannel, setTimeout, clearTimeout }, hear) {
  /** @type {Promise<any>} */
  let last = Promise.resolve();
  /** @type {Pick<BroadcastChannel, 'postMessage' | 'onmessage' | 'close'> | undefined} */
  let channel;
  try {
    channel = BroadcastChannel && new BroadcastChannel(lock);
  } catch {
    // not where cookies are blocked
  }
  if (channel) channel.onmessage = ({ data }) => isMessage(data) && hear(data);

  return {
    async locked(work) {
      let began = false;
      const patience = new AbortController();
      const timer = setTimeout(() => patience.abort(), PATIENCE);
      /** @param {boolean} waited */
      const begin = (waited) => {
        began = true;
        clearTimeout(timer);
        return work(waited);
      };
      try {
        if (!locks) return await (last = last.catch(() => {}).then(() => begin(false)));
        const done = await locks.request(lock, { ifAvailable: true }, (free) => free && begin(false));
        if (began) return /** @type {any} */ (done);
        return await locks.request(lock, patience, () => begin(true)); // as long as its signal
      } catch (error) {
        if (began) throw error;
        return begin(true); // not granted in time, or not at all (a sandboxed frame)
      }
    },
    tell(message) {
      channel?.postMessage({ keyturn: 1, ...message });
      return !!channel;
    },
    close() {
      channel?.close();
      channel = undefined;
    },
  };
}
