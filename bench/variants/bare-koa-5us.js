// Koa without sessions that waits for five microseconds: what a ratio means on this machine.
import { koaApp } from "../lib/koa-app.js";

const nothing = () => {};

const wait = (_ctx, next) => {
  const end = performance.now() + 0.005;
  while (performance.now() < end);
  return next();
};

export const variant = () =>
  koaApp({ install: (app) => app.use(wait), handlers: { read: nothing, write: nothing } });
