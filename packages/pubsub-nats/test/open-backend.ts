// Opens the backend in any process, for suites between processes.
import type { PubSub, Streams } from "@lanai/pubsub";
import type { NatsPubSubOptions } from "@lanai/pubsub-nats";
import { openBackend as openHere } from "./fixture.ts";

export interface BackendOptions extends NatsPubSubOptions {
  readonly port: number;
}

export async function openBackend(options: BackendOptions): Promise<PubSub & Streams> {
  const { port, ...others } = options;
  const opened = await openHere({ port }, others);
  return { ...opened.backend, close: async () => opened[Symbol.asyncDispose]() };
}
