/** Make a client; a page needs one.
 * @param {Options} [options] @returns {Client} */
export function createClient({ baseUrl, origins, resume, name, platform }?: Options): Client;
/** What went wrong. `code` is the server's, or `network`, `timeout`, `bad_answer`, `signed_out`, `session_changed`,
 * `cookies_blocked`. */
export class KeyturnError extends Error {
    /** @param {string} code @param {number} [status] @param {number} [retryAfter] seconds @param {string} [detail] */
    constructor(code: string, status?: number, retryAfter?: number, detail?: string);
    code: string;
    status: number | undefined;
    retryAfter: number | undefined;
}
import type { Options } from './client-types.js';
import type { Client } from './client-types.js';
