import { readdirSync, readFileSync } from "node:fs";
import { createRequire, stripTypeScriptTypes } from "node:module";
import { dirname, join } from "node:path";
import type { Middleware } from "koa";

const read = (folder: string, name: string): string => readFileSync(join(folder, name), "utf8");

/** Browsers know no packages: `@lanai/browser` is served from here, too. */
const script = (folder: string, name: string): string =>
  stripTypeScriptTypes(read(folder, name)).replaceAll('"@lanai/browser"', '"/browser/index.ts"');

const filesOf = (folder: string, ...endings: string[]): string[] =>
  readdirSync(folder).filter((name) => endings.some((it) => name.endsWith(it)));

const here = import.meta.dirname;
const browser = join(
  dirname(createRequire(import.meta.url).resolve("@lanai/browser/package.json")),
  "src",
);

const files = new Map<string, { readonly type: string; readonly text: string }>();
for (const name of filesOf(join(here, "styles"), ".css"))
  files.set(`/styles/${name}`, { type: "css", text: read(join(here, "styles"), name) });
for (const [path, folder] of [
  ["/page", join(here, "page")],
  ["/browser", browser],
] as const) {
  for (const name of filesOf(folder, ".ts"))
    files.set(`${path}/${name}`, { type: "js", text: script(folder, name) });
}
files.set("/favicon.svg", { type: "svg", text: read(here, "favicon.svg") });

/**
 * The style sheets, the scripts without their types, and the icon: there is nothing to build. Mounted
 * before the sessions, they cost no call of the store.
 */
export const assets: Middleware = (ctx, next) => {
  const file = files.get(ctx.path);
  if (!file) return next();
  ctx.set("Cache-Control", "max-age=300");
  ctx.type = file.type;
  ctx.body = file.text;
};
