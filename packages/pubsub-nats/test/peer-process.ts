// Another process on the same server.
import type { NatsPubSubOptions } from "@lanai/pubsub-nats";
import { serve } from "../../pubsub/test/peer.ts";
import { openBackend } from "./fixture.ts";

export interface PeerOptions extends NatsPubSubOptions {
  readonly port: number;
}

serve(({ port, ...options }: PeerOptions) => openBackend({ port }, options));
