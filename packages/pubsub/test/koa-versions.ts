import Koa from "koa";
import Koa2 from "koa2";

/** Both majors that are supported, for `describe.each` and `test.each`. */
export const koaVersions: readonly (readonly [version: string, App: typeof Koa])[] = [
  ["koa 3", Koa],
  ["koa 2", Koa2],
];
