import axios from "axios";
import { createClient } from "keyturn";
import { through } from "./through.js";

const API = import.meta.env.VITE_API ?? "http://localhost:8000";
const client = createClient({ baseUrl: `${API}/auth/` });
const api = through(client, axios.create({ baseURL: API }));

Object.assign(window, { api, client }); // to be tried in the browser's console

const form = document.querySelector("#sign-in");
const output = document.querySelector("output");

function on(target, event, act) {
  target.addEventListener(event, async (happened) => {
    happened.preventDefault();
    output.textContent = "…";
    output.textContent = `${target.id}: ${await act().catch((error) => error.response?.data.code ?? error.code)}`;
  });
}

on(form, "submit", () => client.login(Object.fromEntries(new FormData(form))).then(() => "done"));
on(document.querySelector("#me"), "click", () => api.get("/me").then(({ data }) => data.subject));
on(document.querySelector("#sign-out"), "click", () => client.logout().then(() => "done"));
