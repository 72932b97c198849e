// koa-session with the whole session in a signed cookie.
import { createSession } from "koa-session";
import { LIFETIME } from "../lib/config.js";
import { koaApp } from "../lib/koa-app.js";

export const variant = () =>
  koaApp({ install: (app) => app.use(createSession({ key: "sid", maxAge: LIFETIME }, app)) });
