// A session as a page sees it: the access token in memory, everything else in cookies that no script can read.

const API: string = import.meta.env.VITE_API ?? "http://localhost:8000";

let accessToken = "";

export async function signIn(username: string, password: string): Promise<number> {
  return keep(await post("/auth/login", { username, password }));
}

/** Turns the key: the cookie says who asks, so the body is empty. */
export async function refresh(): Promise<number> {
  return keep(await post("/auth/refresh"));
}

export async function signOut(): Promise<number> {
  accessToken = "";
  return (await post("/auth/logout")).status;
}

/** Calls the application; where the access token is too old, refreshes and calls once more. */
export async function call(path: string): Promise<Response> {
  const answer = await send(path);
  if (answer.status !== 401 || (await refresh()) !== 200) return answer;
  return send(path);
}

function send(path: string): Promise<Response> {
  const headers: Record<string, string> = accessToken ? { Authorization: `Bearer ${accessToken}` } : {};
  return fetch(API + path, { credentials: "include", headers });
}

function post(path: string, body?: unknown): Promise<Response> {
  const json = body === undefined ? {} : { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  return fetch(API + path, { method: "POST", credentials: "include", ...json });
}

async function keep(answer: Response): Promise<number> {
  if (answer.ok) accessToken = (await answer.json()).access_token;
  return answer.status;
}
