import { compareRequests } from "./lib/compare-requests.js";
import { needsRedis } from "./lib/variants.js";

const TARGET = { name: "lanai-redis", ratios: { b: 0.85 } };

/** What sessions in Redis cost a server, beside the least that can be had of Redis. */
export const redis = (variants, options) =>
  compareRequests("hgetall-redis", variants.filter(needsRedis), TARGET, options);
