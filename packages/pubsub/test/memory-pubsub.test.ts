import { memoryPubSub } from "@lanai/pubsub";
import { pubsubConformance } from "@lanai/pubsub/testing";
import { describe, test } from "vitest";
import { keepReservedOutOfStreams } from "./reserved-streams.ts";

describe("memoryPubSub", () => {
  pubsubConformance({
    name: "memory",
    test,
    features: { network: false },
    open() {
      let now = Date.now();
      return {
        backend: memoryPubSub({ clock: () => now }),
        advance(ms) {
          now += ms;
        },
      };
    },
  });
});

test("C9: the widest stream retains no reserved subject", async () => {
  await keepReservedOutOfStreams(memoryPubSub());
});
