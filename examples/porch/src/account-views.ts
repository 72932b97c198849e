import type { FlashMessage } from "@lanai/flash";
import type { Session } from "@lanai/session";
import { actingPanel } from "./acting.ts";
import { html } from "./html.ts";
import { layout, time } from "./layout.ts";
import { alert, passwordField } from "./password.ts";

export function signIn(form: {
  readonly name?: string;
  readonly messages?: readonly FlashMessage[];
  readonly error?: string;
}): string {
  const { name = "", messages = [], error } = form;
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
      ${passwordField(error, "Any name will do. The password is")}
      <label class="check"><input type="checkbox" name="stay" value="yes"> Stay signed in for 30 days</label>
      <button class="button wide">Sign in</button>
    </form>`,
  });
}

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
