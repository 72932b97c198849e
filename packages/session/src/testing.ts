export {
  type IdGeneratorConformanceOptions,
  idGeneratorConformance,
} from "./testing/id-generator-conformance.ts";
export {
  type OpenedStore,
  type StoreConformanceOptions,
  type StoreLimit,
  storeConformance,
} from "./testing/store-conformance.ts";
export {
  type OpenedTracker,
  type Presented,
  type TrackerConformanceOptions,
  trackerConformance,
} from "./testing/tracker-conformance.ts";
