import { createClient } from "keyturn";
import { useSyncExternalStore } from "react";

export const API = import.meta.env.VITE_API ?? "http://localhost:8000";
export const client = createClient({ baseUrl: `${API}/auth/` });

/** "unknown" until the server has said who is there, then "signed-in" or "signed-out"; other tabs count. */
export const useSession = () => useSyncExternalStore(subscribe, () => client.state);

function subscribe(changed) {
  const stops = ["signed-in", "signed-out", "expired"].map((type) => client.on(type, changed));
  return () => stops.forEach((stop) => stop());
}
