import { memoryStore } from "@lanai/session";
import { idGeneratorConformance, storeConformance } from "@lanai/session/testing";
import { test } from "vitest";
import { regionIds } from "../src/region-ids.ts";

storeConformance({
  name: "memory",
  test,
  open() {
    let now = Date.now();
    const store = memoryStore({ clock: () => now });
    return {
      store,
      advance: (ms) => {
        now += ms;
      },
      close: () => store.close(),
    };
  },
});

idGeneratorConformance({ name: "regionIds", test, generator: regionIds("eu") });
