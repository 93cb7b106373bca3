/**
 * What goes over the wire, seen as any script of a page can see it: by standing in for `fetch`.
 *
 * This module is loaded before the client. The cookies are not seen here, nor by any other script.
 */

const real = window.fetch.bind(window);
const watchers = new Set();

/** Be told of each request of this page, once it was answered or lost; gives back what ends it. */
export function watch(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

/** Do something, and give the access token that a request to a path bore meanwhile. */
export async function bearerOf(path, act) {
  let bearer = '';
  const end = watch((seen) => {
    if (seen.path === path && seen.bearer) bearer = seen.bearer;
  });
  try {
    await act();
  } finally {
    end();
  }
  return bearer;
}

/** Send a request of the attack room, unwatched; gives {status, code, json}, status 0 where no whole answer came. */
export async function send({ method = 'GET', path, bearer, body, credentials = 'same-origin', signal }) {
  const headers = {};
  if (bearer) headers.Authorization = `Bearer ${bearer}`;
  if (body) headers['Content-Type'] = 'application/json';
  try {
    const answer = await real(path, { method, headers, credentials, body: body && JSON.stringify(body), cache: 'no-store', signal });
    const text = await answer.text();
    const json = parsed(text);
    return { status: answer.status, code: json?.code ?? '', json };
  } catch {
    return { status: 0, code: '', json: null };
  }
}

window.fetch = async (input, init) => {
  const seen = described(input, init);
  let answer;
  try {
    answer = await real(input, init);
  } catch (error) {
    tell({ ...seen, status: 0, code: '' });
    throw error;
  }
  const text = await answer
    .clone()
    .text()
    .catch(() => null); // null: the line broke in the middle of the answer
  tell({ ...seen, status: answer.status, broken: text === null, code: answer.ok ? '' : (parsed(text)?.code ?? '') });
  return answer;
};

function described(input, init) {
  const request = input instanceof Request ? input : null;
  const url = new URL(request?.url ?? String(input), document.baseURI);
  const headers = new Headers(init?.headers ?? request?.headers);
  const bearer = headers.get('Authorization')?.replace(/^Bearer /, '') ?? '';
  return { method: (init?.method ?? request?.method ?? 'GET').toUpperCase(), path: url.pathname, bearer };
}

const tell = (seen) => {
  for (const watcher of [...watchers]) watcher(seen);
};

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
