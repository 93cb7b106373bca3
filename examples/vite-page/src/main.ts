import { call, refresh, signIn, signOut } from "./session";

const form = document.querySelector<HTMLFormElement>("#sign-in")!;
const output = document.querySelector("output")!;

function on(target: Element, event: string, act: () => Promise<unknown>): void {
  target.addEventListener(event, async (happened) => {
    happened.preventDefault();
    output.textContent = "…";
    output.textContent = `${event === "submit" ? "sign-in" : target.id}: ${await act()}`;
  });
}

async function me(): Promise<string> {
  const answer = await call("/me");
  return answer.ok ? (await answer.json()).subject : String(answer.status);
}

on(form, "submit", () => {
  const entered = new FormData(form);
  return signIn(String(entered.get("username")), String(entered.get("password")));
});
on(document.querySelector("#me")!, "click", me);
on(document.querySelector("#refresh")!, "click", refresh);
on(document.querySelector("#sign-out")!, "click", signOut);
