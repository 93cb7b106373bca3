// The types, in one place: the modules beside it name them in their comments.

import type { KeyturnError } from './client.js';

export interface Options {
  /** Where Keyturn's routes are. Left out: the folder that client.js itself came from. */
  baseUrl?: string | URL;
  /** Which origins may see the access token. Left out: the one of `baseUrl`. */
  origins?: ReadonlyArray<string | URL>;
  /** False: do not ask at start whether somebody is signed in, but when it is first needed. */
  resume?: boolean;
  /** Keeps two realms under one `baseUrl` apart. */
  name?: string;
  /** What stands in for the browser, in tests: an object with what the client uses of `globalThis`. */
  platform?: Platform;
}

export interface Credentials {
  username: string;
  password: string;
  /** False: the browser forgets the session when it is closed. */
  remember?: boolean;
  /** What is asked for, separated by spaces; all that the user may, if left out. */
  scope?: string;
  /** Which registered application signs in. */
  clientId?: string;
  /** How this device is called in the list of sessions. */
  deviceName?: string;
}

/** What listeners are told. No token is in any of it. */
export interface Events {
  /** There is a session: after a sign-in here or in another tab, or one that was still there. */
  'signed-in': { sessionId: string };
  /** A new access token came; `expiresIn` in seconds. */
  refreshed: { sessionId: string; expiresIn: number };
  /** The user signed out, here or (`elsewhere`) in another tab; or it has become known that nobody is signed in. */
  'signed-out': { elsewhere: boolean };
  /** The server says that the session is over. */
  expired: { code: string };
  /** Something did not work; the session is kept. `during` is `refresh`. */
  error: { error: KeyturnError; during: string };
}

export interface Client {
  /** `unknown` until the server was asked. */
  readonly state: 'unknown' | 'signed-in' | 'signed-out';
  /** Sign in. Rejects with the server's code (`invalid_credentials`, `rate_limited`, …), or `cookies_blocked`. */
  login(credentials: Credentials): Promise<{ sessionId: string; scope: string }>;
  /** Ask whether somebody is signed in. Calls at the same time share one question. */
  resume(): Promise<boolean>;
  /** Sign out, in all tabs. Rejects where the server could not be told: then the session goes on. */
  logout(): Promise<void>;
  /** Sign out on all devices; gives how many sessions ended. */
  logoutAll(): Promise<number>;
  /** As the browser's own, with the access token where the origin is listed. */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
  /** The claims of the access token; null when signed out. */
  session(): Promise<Record<string, any> | null>;
  /** Where the user is signed in. */
  sessions(): Promise<Array<Record<string, any>>>;
  /** End one of the user's sessions. */
  endSession(id: string): Promise<void>;
  /** End all of the user's sessions but this one; gives how many. */
  endOtherSessions(): Promise<number>;
  /** Prove again who is there. */
  stepUp(proof: { password: string; username?: string }): Promise<void>;
  /** Open a WebSocket that is closed with the session; `renew` is called with each new token. */
  websocket(
    url: string | URL,
    options?: { renew?: (socket: WebSocket, token: string) => void },
  ): Promise<WebSocket>;
  /** Listen; the function that is given back ends it. */
  on<T extends keyof Events>(type: T, listener: (detail: Events[T]) => void): () => void;
  /** Stop: no timer, channel, listener or token is left. The session itself goes on. */
  close(): void;
}

/** What a client uses of the browser. */
export type Platform = Pick<
  typeof globalThis,
  'fetch' | 'setTimeout' | 'clearTimeout' | 'performance' | 'navigator' | 'document' | 'location' | 'addEventListener' | 'AbortSignal' | 'BroadcastChannel' | 'WebSocket' | 'reportError'
>;

export interface TokenAnswer {
  /** None where it travels in a cookie. */
  access_token?: string;
  /** Seconds. */
  expires_in: number;
  session_id: string;
  scope?: string;
  /** Whether it took the place of one that was refused. Not of the server. */
  forced?: boolean;
}

/** What a tab knows. A new object for every change: who compares two of them sees whether anything happened. */
export type Known = SignedIn | { state: 'unknown' | 'signed-out'; session_id?: undefined; access_token?: undefined; until?: undefined; used?: boolean; refused?: boolean; forced?: boolean };

export interface SignedIn extends TokenAnswer {
  state: 'signed-in';
  scope: string;
  /** When its life began, at the latest. */
  from: number;
  /** When its life is over. */
  until: number;
  /** Whether a call was accepted with it. */
  used?: boolean;
  /** Whether a call was refused with it, and a newer one is asked for. */
  refused?: boolean;
}

/** What tabs tell each other. */
export type Message =
  | { type: 'ask' | 'leaving' }
  | { type: 'out'; session_id?: string; code?: string }
  | (TokenAnswer & {
      type: 'token';
      /** Milliseconds since its life began: two tabs' clocks have nothing in common but their pace. */
      age: number;
      /** Whether it has just come from the server. */
      fresh: boolean;
    });

/** An answer, as far as it decides what comes next. */
export interface Answer {
  ok?: boolean;
  status?: number;
  /** Of a refusal. */
  code?: string;
  body?: any;
}

export interface Ask {
  method?: string;
  token?: string;
  json?: object;
  signal?: AbortSignal;
}
