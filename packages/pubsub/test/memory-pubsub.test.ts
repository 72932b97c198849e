import { memoryPubSub } from "@lanai/pubsub";
import { pubsubConformance } from "@lanai/pubsub/testing";
import { describe, test } from "vitest";

describe("memoryPubSub", () => {
  pubsubConformance({
    name: "memory",
    test,
    features: { network: false },
    open() {
      let shift = 0;
      return {
        backend: memoryPubSub({ clock: () => Date.now() + shift }),
        advance(ms) {
          shift += ms;
        },
      };
    },
  });
});
