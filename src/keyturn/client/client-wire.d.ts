/** Give the body of a good answer; all others are errors.
 * @param {Here} here @param {string} path @param {Ask} [how] @returns {Promise<any>} */
export function ask({ fetch, setTimeout, clearTimeout, routes, life }: Here, path: string, { method, token, json, signal }?: Ask): Promise<any>;
/** What went wrong. `code` is the server's, or `network`, `timeout`, `bad_answer`, `signed_out`, `session_changed`,
 * `cookies_blocked`. */
export class KeyturnError extends Error {
    /** @param {string} code @param {number} [status] @param {number} [retryAfter] seconds @param {string} [detail] */
    constructor(code: string, status?: number, retryAfter?: number, detail?: string);
    code: string;
    status: number | undefined;
    retryAfter: number | undefined;
}
export function unless<T>(signal: AbortSignal, promise: Promise<T>): Promise<T>;
import type { Here } from './client-types.js';
import type { Ask } from './client-types.js';
