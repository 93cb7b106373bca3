const API: string = import.meta.env.VITE_API ?? "http://localhost:8000";
// The client comes from the API itself, and so is always the one that fits it; it knows where its routes are.
const client = import(/* @vite-ignore */ `${API}/auth/client.js`).then((module) => module.createClient());

const form = document.querySelector<HTMLFormElement>("#sign-in")!;
const output = document.querySelector("output")!;

function on(target: Element, event: string, act: () => Promise<unknown>): void {
  target.addEventListener(event, async (happened) => {
    happened.preventDefault();
    output.textContent = "…";
    output.textContent = `${target.id}: ${await act().catch((error) => error.code)}`;
  });
}

on(form, "submit", async () => {
  await (await client).login(Object.fromEntries(new FormData(form)));
  return "done";
});

on(document.querySelector("#me")!, "click", async () => {
  const answer = await (await client).fetch(`${API}/me`);
  return answer.ok ? (await answer.json()).subject : answer.status;
});

on(document.querySelector("#sign-out")!, "click", async () => {
  await (await client).logout();
  return "done";
});
