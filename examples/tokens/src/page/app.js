import { tokenFetch } from "./token-fetch.js";

const { api } = document.documentElement.dataset;
const element = (id) => document.getElementById(id);

/** Calls the API, and shows who is signed in now. */
function call(method, path) {
  show(method, path).catch(() => {
    element("notice").textContent = "The API is out of reach";
  });
}

async function show(method, path) {
  const response = await tokenFetch(api + path, { method });
  const { user, clicks, ended } =
    response.ok && response.status !== 204 ? await response.json() : {};
  if (ended !== undefined) {
    element("notice").textContent = `Signed out elsewhere: ${ended}`;
    return;
  }
  element("stranger").hidden = user !== undefined;
  element("member").hidden = user === undefined;
  element("who").textContent = user === undefined ? "" : `${user}, ${clicks} clicks`;
  element("notice").textContent = response.status === 401 ? "You are signed out" : "";
}

element("stranger").addEventListener("submit", (event) => {
  event.preventDefault();
  call("POST", `/sign-in/${encodeURIComponent(element("name").value)}`);
});
element("click").addEventListener("click", () => call("POST", "/clicks"));
element("sign-out").addEventListener("click", () => call("POST", "/sign-out"));
element("elsewhere").addEventListener("click", () => call("POST", "/sign-out-elsewhere"));

call("GET", "/me");
