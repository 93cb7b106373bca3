import { StrictMode, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { API, client, useSession } from "./session.js";

function App() {
  const state = useSession();
  // A reload knows nothing for a moment: showing the form now would be a flash of "signed out".
  if (state === "unknown") return <p aria-busy="true">One moment …</p>;
  return state === "signed-in" ? <Account /> : <SignIn />;
}

function SignIn() {
  const [trouble, setTrouble] = useState("");
  const submit = (event) => {
    event.preventDefault();
    const { username, password } = Object.fromEntries(new FormData(event.target));
    client.login({ username, password }).catch((error) => setTrouble(error.message));
  };
  return (
    <form onSubmit={submit}>
      <label>User name <input name="username" autoComplete="username" required /></label>
      <label>Password <input name="password" type="password" autoComplete="current-password" required /></label>
      <button>Sign in</button>
      <p role="alert">{trouble}</p>
    </form>
  );
}

function Account() {
  const [name, setName] = useState("");
  const [trouble, setTrouble] = useState("");
  useEffect(() => {
    const gone = new AbortController();
    client
      .fetch(`${API}/me`, { signal: gone.signal })
      .then((answer) => answer.json())
      .then((me) => setName(me.subject))
      .catch((error) => gone.signal.aborted || setTrouble(error.message));
    return () => gone.abort();
  }, []);
  return (
    <section>
      <p>You are <output>{name}</output></p>
      <button onClick={() => client.logout().catch((error) => setTrouble(error.message))}>Sign out</button>
      <p role="alert">{trouble}</p>
    </section>
  );
}

createRoot(document.getElementById("root")).render(<StrictMode><App /></StrictMode>);
