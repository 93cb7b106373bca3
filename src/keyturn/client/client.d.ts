/** Make a client; a page needs one.
 * @param {Options} [options] @returns {Client} */
export function createClient({ baseUrl, origins, resume, name, platform }?: Options): Client;
export { KeyturnError } from "./client-wire.js";
import type { Options } from './client-types.js';
import type { Client } from './client-types.js';
