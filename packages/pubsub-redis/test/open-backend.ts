// Opens the backend in any process, for suites between processes.
import type { PubSub, Streams } from "@lanai/pubsub";
import type { RedisPubSubOptions } from "@lanai/pubsub-redis";
import { openBackend as openHere } from "./fixture.ts";

export interface BackendOptions extends RedisPubSubOptions {
  readonly port: number;
}

export function openBackend({ port, ...options }: BackendOptions): PubSub & Streams {
  const opened = openHere(port, options);
  return { ...opened.backend, close: async () => opened[Symbol.asyncDispose]() };
}
