/** @type {Record<string, string>} */
const SENTENCES = {
  network: 'The server could not be reached.',
  timeout: 'The server did not answer in time.',
  bad_answer: 'The server answered something else than it should.',
  signed_out: 'The session was signed out.',
  session_changed: 'Another session took the place of the one that this call was made in.',
  cookies_blocked: "The browser does not send this server's cookies from this page.",
};

/**
 * What went wrong, by a stable code. Holds no token and no password.
 *
 * `code` is the server's (docs/reference/errors.md), or one of ours: `network`, `timeout`, `bad_answer`, `signed_out`,
 * `session_changed`, `cookies_blocked`. `status` is the HTTP status, where there was an answer; `retryAfter` the seconds
 * that the server asks to wait.
 */
export class KeyturnError extends Error {
  /**
   * @param {string} code
   * @param {{status?: number, retryAfter?: number, detail?: string, cause?: unknown}} [more]
   */
  constructor(code, { status, retryAfter, detail, cause } = {}) {
    super(detail || SENTENCES[code] || `The server refused: ${code}.`, cause === undefined ? undefined : { cause });
    this.name = 'KeyturnError';
    /** @readonly */
    this.code = code;
    /** @readonly */
    this.status = status;
    /** @readonly */
    this.retryAfter = retryAfter;
  }
}
