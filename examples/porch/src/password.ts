import type { Context } from "koa";
import { type Html, html } from "./html.ts";
import { Throttle } from "./throttle.ts";

/** The page shows it. An app of your own keeps a slow hash of each user's (Argon2, scrypt). */
const PASSWORD = "aloha";

/** Returns whether this is the password of a user; throws 429 while the name has to wait. */
export type PasswordCheck = (ctx: Context, name: string, password: string | null) => boolean;

/** Makes a check that slows down after wrong passwords, wherever they were typed. */
export function passwordCheck(clock: () => number): PasswordCheck {
  const throttle = new Throttle(clock);
  return (ctx, name, password) => {
    const key = `${ctx.ip} ${name}`;
    const seconds = throttle.wait(key);
    if (seconds > 0) ctx.throw(429, { headers: { "Retry-After": String(seconds) } });
    if (password === PASSWORD) throttle.succeeded(key);
    else throttle.failed(key);
    return password === PASSWORD;
  };
}

/** A field for the password, with the error of the last attempt. */
export function passwordField(error: string | undefined, hint: string): Html {
  const described = error
    ? html`aria-invalid="true" aria-describedby="error" autofocus`
    : html`aria-describedby="hint"`;
  return html`<label for="password">Password</label>
      <input id="password" name="password" type="password" autocomplete="current-password" required
        ${described}>
      <p class="hint" id="hint">${hint} <code>${PASSWORD}</code>.</p>`;
}

/** The error of the last attempt, which a screen reader says at once. */
export const alert = (error: string | undefined): Html | undefined =>
  error === undefined ? undefined : html`<p class="error" id="error" role="alert">${error}</p>`;
