import { readFileSync } from "node:fs";
import type { Middleware } from "koa";

const read = (name: string): string => readFileSync(new URL(name, import.meta.url), "utf8");

const files = new Map([
  ["/style.css", { type: "css", text: read("./style.css") }],
  ["/favicon.svg", { type: "svg", text: read("./favicon.svg") }],
]);

/** The stylesheet and the icon. Mounted before the sessions, they cost no look at the store. */
export const assets: Middleware = (ctx, next) => {
  const file = files.get(ctx.path);
  if (!file) return next();
  ctx.set("Cache-Control", "max-age=300");
  ctx.type = file.type;
  ctx.body = file.text;
};
