// Koa without sessions: what every ratio is to.
import { koaApp } from "../lib/koa-app.js";

const nothing = () => {};

export const variant = () => koaApp({ handlers: { read: nothing, write: nothing } });
