import { compareRequests } from "./lib/compare-requests.js";
import { needsRedis } from "./lib/variants.js";

const TARGET = { name: "lanai-mem", ratios: { b: 0.85, c: 0.8, d: 0.97 } };

/** What sessions in memory or in the cookie cost a server. */
export const http = (variants, options) =>
  compareRequests(
    "bare-koa",
    variants.filter((it) => !needsRedis(it)),
    TARGET,
    options,
  );
