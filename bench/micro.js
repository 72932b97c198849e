import { startPinned } from "./lib/child.js";
import { SCENARIOS } from "./lib/scenarios.js";
import { fixed, table } from "./lib/text.js";
import { isOnKoa, needsRedis } from "./lib/variants.js";

const BASE = "bare-koa";

/** Processor time of a request without sockets, in microseconds over bare Koa. */
export const micro = async (variants, { scenarios: letters }) => {
  const data = {};
  for (const name of new Set([BASE, ...variants.filter((it) => isOnKoa(it) && !needsRedis(it))])) {
    const child = await startPinned("time-requests.js", [name, letters]);
    await child.stop();
    data[name] = child.first;
    console.error(`micro ${name}`);
  }
  const scenarios = [...letters];
  const over = (name, scenario) => data[name][scenario] - data[BASE][scenario];
  const rows = Object.keys(data).map((name) => [
    name,
    ...scenarios.map((it) => fixed(name === BASE ? data[name][it] : over(name, it), 2)),
  ]);
  const head = ["variant", ...scenarios.map((it) => `${it}: ${SCENARIOS[it].label}`)];
  const text = `Microseconds: of ${BASE} in all, of the others over it.\n\n${table(head, rows)}`;
  return { text, data };
};
