import { memoryPubSub } from "@lanai/pubsub";
import { beforeEach } from "vitest";
import type { Backend } from "./site.ts";
import { channelsOn } from "./suite.ts";

let shared: Backend;
beforeEach(() => {
  shared = memoryPubSub();
});
channelsOn("memory", async () => shared);
