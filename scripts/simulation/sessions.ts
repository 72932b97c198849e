// The simulation of requests: their sessions, the manager and flash, on a store that is elsewhere.
export { planOf, smallerThan } from "./plan.ts";
export { run } from "./run.ts";
export { SCOPES as scopes } from "./scopes.ts";
