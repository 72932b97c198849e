export type { BackendAt, BackendModule } from "./testing/processes/backend-at.ts";
export { type Peer, startPeer } from "./testing/processes/peer.ts";
export {
  type PubSubProcessesOptions,
  pubsubProcesses,
} from "./testing/processes/pubsub-processes.ts";
export {
  type OpenedPubSub,
  type PubSubConformanceOptions,
  type PubSubFeature,
  pubsubConformance,
} from "./testing/pubsub-conformance.ts";
