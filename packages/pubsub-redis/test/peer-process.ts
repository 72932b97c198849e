// Another process on the same Redis.
import type { RedisPubSubOptions } from "@lanai/pubsub-redis";
import { serve } from "../../pubsub/test/peer.ts";
import { openBackend } from "./fixture.ts";

export interface PeerOptions extends RedisPubSubOptions {
  readonly port: number;
}

serve(({ port, ...options }: PeerOptions) => openBackend(port, options));
