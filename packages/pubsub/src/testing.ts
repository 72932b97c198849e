export {
  type OpenedPubSub,
  type PubSubConformanceOptions,
  type PubSubFeature,
  pubsubConformance,
} from "./testing/pubsub-conformance.ts";
