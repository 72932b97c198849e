import type { FlashMessage } from "@lanai/flash";
import type { Session, SessionSummary } from "@lanai/session";
import { type Html, html } from "./html.ts";

interface Layout {
  readonly title: string;
  /** Who is signed in. */
  readonly user: string | undefined;
  readonly path?: string;
  readonly messages?: readonly FlashMessage[];
  readonly main: Html;
}

function layout({ title, user, path, messages = [], main }: Layout): string {
  const link = (to: string, text: string) =>
    html`<li><a href="${to}"${to === path ? html` aria-current="page"` : undefined}>${text}</a></li>`;

  const account =
    user === undefined
      ? html`<a class="button" href="/sign-in">Sign in</a>`
      : html`<form method="post" action="/sign-out">
          <span class="user">${user}</span>
          <button class="quiet">Sign out</button>
        </form>`;

  const page = html`<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>${title} · Porch</title>
  <link rel="icon" href="/favicon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/style.css">
</head>
<body>
  <a class="skip" href="#main">Skip to the page</a>
  <header>
    <div class="bar">
      <a class="brand" href="/"><img src="/favicon.svg" alt="" width="32" height="32">Porch</a>
      <nav aria-label="Pages"><ul>
        ${link("/home", "Your session")}
        ${link("/devices", "Devices")}
      </ul></nav>
      <div class="account">${account}</div>
    </div>
  </header>
  <main id="main" tabindex="-1">
    ${messages.map(notice)}
    ${main}
  </main>
  <footer><p>A demo of <strong>Lanai</strong>, sessions for Koa.</p></footer>
</body>
</html>
`;
  return page.text;
}

const notice = ({ level, message }: FlashMessage): Html =>
  html`<p class="notice ${level}" role="status">${String(message)}</p>
    `;

export function welcome(user: string | undefined): string {
  const greeting =
    user === undefined
      ? html`<h1>Come up and sit down</h1>
        <p class="lead">Tell us who you are, and you will be known on every page, until you leave.</p>
        <p class="actions"><a class="button" href="/sign-in">Sign in</a>
          <a href="/home">Try the door without</a></p>`
      : html`<h1>Welcome back, <span class="name">${user}</span></h1>
        <p class="lead">The door is open, and your seat is still warm.</p>
        <p class="actions"><a class="button" href="/home">Your session</a>
          <a href="/devices">Your devices</a></p>`;

  return layout({
    title: "Welcome",
    user,
    path: "/",
    main: html`<section class="hero">${greeting}</section>
    <ul class="cards">
      <li><h2>Nothing for strangers</h2>
        <p>Reading this page stored no session and set no cookie.</p></li>
      <li><h2>Said once</h2>
        <p>Go to a page behind the door, and the sign-in page tells you why you are there. Once.</p></li>
      <li><h2>Out is out</h2>
        <p>Sign out here, or end another browser's session: its cookie opens nothing any more.</p></li>
    </ul>`,
  });
}

export function signIn(form: {
  readonly password: string;
  readonly name?: string;
  readonly messages?: readonly FlashMessage[];
  readonly error?: string;
}): string {
  const { password, name = "", messages = [], error } = form;
  const invalid = error && html` aria-invalid="true" aria-describedby="error"`;
  return layout({
    title: error ?? "Sign in",
    user: undefined,
    path: "/sign-in",
    messages,
    main: html`<form class="card" method="post" action="/sign-in">
      <h1>Sign in</h1>
      ${error && html`<p class="error" id="error" role="alert">${error}</p>`}
      <label for="name">Name</label>
      <input id="name" name="name" value="${name}" autocomplete="username" autocapitalize="none"
        maxlength="40" required${error ? undefined : html` autofocus`}>
      <label for="password">Password</label>
      <input id="password" name="password" type="password" autocomplete="current-password" required
        ${invalid || html`aria-describedby="hint"`}${error ? html` autofocus` : undefined}>
      <p class="hint" id="hint">Any name will do. The password is <code>${password}</code>.</p>
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
  const { publicId, createdAt, expiresAt } = session;
  return layout({
    title: "Your session",
    user,
    path: "/home",
    messages,
    main: html`<h1>Hello, <span class="name">${user}</span></h1>
    <p class="lead">You were here <strong class="count">${visits}</strong> ${visits === 1 ? "time" : "times"} since you signed in.</p>
    <dl class="card facts">
      <div><dt>Signed in as</dt><dd class="name">${user}</dd></div>
      <div><dt>Public id</dt><dd><code>${publicId}</code></dd></div>
      <div><dt>Created</dt><dd>${time(createdAt)}</dd></div>
      <div><dt>Ends, if you don't come back</dt><dd>${time(expiresAt)}</dd></div>
    </dl>
    <p class="hint">The id itself is a secret between the cookie and the server. It is on no page.</p>
    <p class="actions"><a class="button" href="/home">Visit again</a> <a href="/devices">Your devices</a></p>`,
  });
}

export function devices(page: {
  readonly user: string;
  readonly messages: readonly FlashMessage[];
  /** The public id of the session that asks. */
  readonly current: string | undefined;
  readonly sessions: readonly SessionSummary[];
}): string {
  const { user, messages, current, sessions } = page;
  const latestFirst = sessions.toSorted((a, b) => b.seenAt.getTime() - a.seenAt.getTime());
  const items = latestFirst.map(({ publicId, createdAt, seenAt }) => {
    const here = publicId === current;
    const short = publicId.slice(0, 6);
    return html`<li class="card device">
        <div>
          <h2>${here ? "This browser" : "Another browser"} <code>${short}</code></h2>
          <p>Since ${time(createdAt)}<br>Last seen ${time(seenAt)}</p>
        </div>
        ${
          here
            ? html`<span class="badge">You are here</span>`
            : html`<form method="post" action="/devices/end">
          <input type="hidden" name="session" value="${publicId}">
          <button class="quiet">Sign out<span class="unseen"> the session ${short}</span></button>
        </form>`
        }
      </li>`;
  });
  const endOthers = html`<form method="post" action="/devices/end-others">
      <button class="button danger">Sign out everywhere else</button>
    </form>`;

  return layout({
    title: "Devices",
    user,
    path: "/devices",
    messages,
    main: html`<h1>Where you are signed in</h1>
    <ul class="devices">
      ${items}
    </ul>
    ${
      sessions.length > 1
        ? endOthers
        : html`<p class="hint">Sign in with the same name in a private window, then reload this page.</p>`
    }`,
  });
}

export function notFound(user: string | undefined): string {
  return layout({
    title: "Not found",
    user,
    main: html`<section class="hero">
      <h1>Nobody here</h1>
      <p class="lead">There is no page at this address.</p>
      <p class="actions"><a class="button" href="/">Back to the porch</a></p>
    </section>`,
  });
}

const format = new Intl.DateTimeFormat("en-GB", {
  dateStyle: "medium",
  timeStyle: "short",
  timeZone: "UTC",
});

/** The server can't know the reader's time zone, so it names its own. */
const time = (date: Date | undefined): Html | undefined =>
  date && html`<time datetime="${date.toISOString()}">${format.format(date)} UTC</time>`;
