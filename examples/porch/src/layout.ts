import type { FlashMessage } from "@lanai/flash";
import { type Html, html } from "./html.ts";

export interface Layout {
  readonly title: string;
  /** Who is signed in. */
  readonly user: string | undefined;
  readonly path?: string;
  readonly messages?: readonly FlashMessage[];
  readonly main: Html;
  /** Whether the page opens a live connection. */
  readonly live?: boolean;
}

/** The style sheets, and the page's script: see `assets.ts`. */
export const head: Html = html`<link rel="icon" href="/favicon.svg" type="image/svg+xml">
  ${["base", "content", "forms", "parts", "rooms", "devices"].map((name) => html`<link rel="stylesheet" href="/styles/${name}.css">`)}
  <script type="module" src="/page/page.ts"></script>`;

export function layout({
  title,
  user,
  path,
  messages = [],
  main,
  live = user !== undefined,
}: Layout): string {
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
  ${head}
</head>
<body${live ? html` data-live` : undefined}>
  <a class="skip" href="#main">Skip to the page</a>
  <header>
    <div class="bar">
      <a class="brand" href="/"><img src="/favicon.svg" alt="" width="32" height="32">Porch</a>
      <nav aria-label="Pages"><ul>
        ${link("/", "Demos")}
        ${link("/rooms", "Rooms")}
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
  <footer><p>A demo of <strong>Lanai</strong>, sessions, live tabs and messages for Koa.</p></footer>
</body>
</html>
`;
  return page.text;
}

const notice = ({ level, message }: FlashMessage): Html =>
  html`<p class="notice ${level}" role="status">${String(message)}</p>
    `;

const format = new Intl.DateTimeFormat("en-GB", {
  dateStyle: "medium",
  timeStyle: "short",
  timeZone: "UTC",
});

/** The server can't know the reader's time zone, so it names its own. */
export const time = (date: Date | undefined): Html | undefined =>
  date && html`<time datetime="${date.toISOString()}">${format.format(date)} UTC</time>`;
