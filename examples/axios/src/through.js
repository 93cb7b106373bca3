/**
 * Let an axios instance send its requests through a Keyturn client: the client attaches the access token for the
 * origins it was given, refreshes it once for everybody, and repeats what came too late.
 *
 * A refusal of the client's own (signed out, no network) is an AxiosError with its `code`, and with it as `cause`.
 */
export function through(client, instance) {
  // One function for all requests: axios keeps an adapter for each that it sees. Without Request, axios leaves it to
  // the client whether cookies go along.
  const env = { fetch: (url, init) => client.fetch(url, init), Request: null };
  instance.interceptors.request.use((config) => {
    config.adapter = "fetch";
    config.env = { ...config.env, ...env };
    config.headers.set("User-Agent", false); // axios would name itself, and browsers that let it ask for permission
    return config;
  });
  return instance;
}
