import type { FlashMessage } from "@lanai/flash";
import type { Session } from "@lanai/session";
import { actingPanel } from "./acting.ts";
import { type Html, html } from "./html.ts";
import { layout, time } from "./layout.ts";

/** A field for the password, with the error of the last attempt. */
const passwordField = (password: string, error: string | undefined, hint: string): Html => {
  const described = error
    ? html`aria-invalid="true" aria-describedby="error" autofocus`
    : html`aria-describedby="hint"`;
  return html`<label for="password">Password</label>
      <input id="password" name="password" type="password" autocomplete="current-password" required
        ${described}>
      <p class="hint" id="hint">${hint} <code>${password}</code>.</p>`;
};

const alert = (error: string | undefined): Html | undefined =>
  error === undefined ? undefined : html`<p class="error" id="error" role="alert">${error}</p>`;

export function signIn(form: {
  readonly password: string;
  readonly name?: string;
  readonly messages?: readonly FlashMessage[];
  readonly error?: string;
}): string {
  const { password, name = "", messages = [], error } = form;
  return layout({
    title: error ?? "Sign in",
    user: undefined,
    path: "/sign-in",
    messages,
    main: html`<form class="card" method="post" action="/sign-in">
      <h1>Sign in</h1>
      ${alert(error)}
      <label for="name">Name</label>
      <input id="name" name="name" value="${name}" autocomplete="username" autocapitalize="none"
        maxlength="40" required${error ? undefined : html` autofocus`}>
      ${passwordField(password, error, "Any name will do. The password is")}
      <label class="check"><input type="checkbox" name="stay" value="yes"> Stay signed in for 30 days</label>
      <button class="button wide">Sign in</button>
    </form>`,
  });
}

/** "Confirm it's you": the form posts to the address that it has, which says where to go afterwards. */
export function confirm(form: {
  readonly user: string;
  readonly password: string;
  readonly error?: string;
}): string {
  const { user, password, error } = form;
  return layout({
    title: error ?? "Confirm it’s you",
    user,
    main: html`<form class="card" method="post">
      <h1>Confirm it’s you</h1>
      <p>What comes next can’t be undone, and your last sign-in was a while ago. Type the password again.</p>
      ${alert(error)}
      <input type="hidden" name="name" value="${user}" autocomplete="username">
      ${passwordField(password, error, "It is still")}
      <button class="button wide">Confirm</button>
    </form>`,
  });
}

export const deleteAccount = (user: string): string =>
  layout({
    title: "Delete the account",
    user,
    main: html`<form class="card" method="post" action="/account/delete">
      <h1>Delete the account of ${user}?</h1>
      <p>Every browser that is signed in as ${user} is signed out at once, and its open tabs leave.</p>
      <button class="button danger wide">Delete the account</button>
      <p class="aside"><a href="/home">Keep it</a></p>
    </form>`,
  });

export function home(page: {
  readonly user: string;
  readonly messages: readonly FlashMessage[];
  readonly visits: number;
  readonly session: Session;
}): string {
  const { user, messages, visits, session } = page;
  const { publicId, createdAt, expiresAt, authenticatedAt } = session;
  return layout({
    title: "Your session",
    user,
    path: "/home",
    messages,
    main: html`<h1>Hello, <span class="name">${user}</span></h1>
    <p class="lead">You were here <strong class="count">${visits}</strong> ${visits === 1 ? "time" : "times"} since you signed in.</p>
    ${actingPanel(session)}
    <div class="columns">
    <dl class="card facts">
      <div><dt>Signed in as</dt><dd class="name">${user}</dd></div>
      <div><dt>Public id</dt><dd><code>${publicId}</code></dd></div>
      <div><dt>Created</dt><dd>${time(createdAt)}</dd></div>
      <div><dt>Password given</dt><dd>${time(authenticatedAt)}</dd></div>
      <div><dt>Ends, if you don't come back</dt><dd>${time(expiresAt)}</dd></div>
    </dl>
    <section class="card">
      <h2>What to try</h2>
      <ul class="steps">
        <li><a href="/home">Visit again</a>, in two tabs at once: every visit counts.</li>
        <li>Sign in with this name in a private window, and look at <a href="/devices">your devices</a>.</li>
        <li>Chat in <a href="/rooms">a room</a>, stop the program, write, and start it again.</li>
        <li><a href="/account/delete">Delete the account</a>, after a minute: you are asked who you are.</li>
        <li>Sign in as <code>admin</code>, and act for somebody else.</li>
      </ul>
    </section>
    </div>
    <p class="hint">The session’s id is a secret between the cookie and the server. It is on no page.</p>`,
  });
}
