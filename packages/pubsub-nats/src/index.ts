export { type NatsPubSub, natsPubSub } from "./nats-pubsub.ts";
export type { NatsPubSubOptions } from "./options.ts";
