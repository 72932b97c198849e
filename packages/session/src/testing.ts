export {
  type IdGeneratorConformanceOptions,
  idGeneratorConformance,
} from "./testing/id-generator-conformance.ts";
export type { StoreAt, StoreModule } from "./testing/processes/store-at.ts";
export { type StoreClocksOptions, storeClocks } from "./testing/processes/store-clocks.ts";
export {
  type StoreProcessesOptions,
  storeProcesses,
} from "./testing/processes/store-processes.ts";
export {
  type OpenedStore,
  type StoreConformanceOptions,
  type StoreLimit,
  storeConformance,
} from "./testing/store-conformance.ts";
export type { OpenedTracker, Presented } from "./testing/tracker/case.ts";
export {
  type TrackerConformanceOptions,
  trackerConformance,
} from "./testing/tracker-conformance.ts";
