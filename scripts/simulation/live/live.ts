// The simulation of live connections: pages, channels, clients and pub/sub, in several processes.
export { planOf, smallerThan } from "./plan.ts";
export { run } from "./run.ts";
export { SCOPES as scopes } from "./scopes.ts";
