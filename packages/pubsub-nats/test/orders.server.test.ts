import { pubsubConformance } from "@lanai/pubsub/testing";
import { afterAll, beforeAll, test } from "vitest";
import { type NatsServer, startNats } from "../../../scripts/services/nats.ts";
import { isLong, seed } from "../../../scripts/testing/chance.ts";
import { openBackend } from "./fixture.ts";
import { startProxy } from "./proxy.ts";

let server: NatsServer;

beforeAll(async () => {
  server = await startNats();
});
afterAll(async () => {
  await server?.stop();
});

const rounds = isLong ? 100 : 5;

for (let round = 1; round <= rounds; round++) {
  pubsubConformance({
    name: `NATS whose connections are cut, ${round}`,
    seed: seed + round,
    // The other cases run elsewhere, and say nothing of this one.
    test: (name, fn) => name.includes("in any order of") && test(name, fn),
    features: { restart: false },
    async open() {
      const proxies = [await startProxy(server.port), await startProxy(server.port)] as const;
      const [here, there] = await Promise.all(proxies.map((proxy) => openBackend(proxy)));
      let cuts = 0;
      return {
        backend: (here as Awaited<ReturnType<typeof openBackend>>).backend,
        again: (there as Awaited<ReturnType<typeof openBackend>>).backend,
        cut() {
          const proxy = cuts++ % 2 ? proxies[1] : proxies[0];
          proxy.cut();
          proxy.mend();
        },
        async close() {
          await here?.[Symbol.asyncDispose]();
          await there?.[Symbol.asyncDispose]();
          for (const proxy of proxies) await proxy[Symbol.asyncDispose]();
        },
      };
    },
  });
}
