import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openBackend as openNats } from "../../packages/pubsub-nats/test/fixture.ts";
import { openBackend as openRedis } from "../../packages/pubsub-redis/test/fixture.ts";
import { startNats } from "../services/nats.ts";
import { startRedis } from "../services/redis.ts";
import {
  type BusStep,
  busStepsOf,
  playBus,
  playBusModel,
  type RealBus,
} from "../simulation/real/bus.ts";
import { isLong, seed } from "../testing/chance.ts";
import { startCuttingProxy } from "../testing/cutting-proxy.ts";
import { until } from "../testing/until.ts";

const SCHEDULES = isLong ? 200 : 15;
/** The number of schedules among which the mistake must show. */
const TRIED = 1_000;

/** A publish brings the name of its message. */
const isCommand = (chunk: Buffer) => /:m\d+/.test(chunk.toString("latin1"));

/** Opens the backend twice, each on a way of its own to the server at a port. */
async function openBus(
  stack: AsyncDisposableStack,
  target: number,
  open: (port: number) => Promise<AsyncDisposable & { backend: RealBus["publisher"] }>,
): Promise<RealBus> {
  const publishing = stack.use(await startCuttingProxy({ target, isCommand }));
  const subscribing = stack.use(await startCuttingProxy({ target, isCommand }));
  return {
    publisher: stack.use(await open(publishing.port)).backend,
    subscriber: stack.use(await open(subscribing.port)).backend,
    lose: (fate) => publishing.arm(1, fate),
    sever: () => subscribing.sever(),
    heal: () => subscribing.heal(),
  };
}

const BUSES = [
  {
    name: "Redis",
    start: async (stack: AsyncDisposableStack) =>
      openBus(stack, stack.use(await startRedis()).port, async (port) => openRedis(port)),
  },
  {
    name: "NATS",
    start: async (stack: AsyncDisposableStack) =>
      openBus(stack, stack.use(await startNats()).port, (port) =>
        openNats({ port }, {}, { reconnectTimeWait: 10 }),
      ),
  },
];

describe.each(BUSES)("pub/sub in memory is the model of $name", ({ name, start }) => {
  const stack = new AsyncDisposableStack();
  let bus: RealBus;
  let played = 0;
  beforeAll(async () => {
    bus = await start(stack);
  });
  afterAll(() => stack.disposeAsync());

  /**
   * Plays steps on the broker, and expects what the model has shown: in the end, before each break, and
   * before each subscribe, because a plain message that is still on its way also comes to whoever begins.
   */
  async function expectShown(steps: readonly BusStep[], shown: readonly (readonly string[])[]) {
    let at = 0;
    await playBus(steps, bus, `t${played++}`, async (lines) => {
      const next = steps[++at];
      if (next && next.do !== "down" && next.do !== "subscribe") return;
      const text = steps
        .slice(0, at)
        .map((step) => JSON.stringify(step))
        .join("\n");
      await until(() => expect(lines(), `LANAI_SEED=${seed}\n${text}`).toEqual(shown[at - 1]));
    });
  }

  test(`what each subscriber sees, by ${name}, whatever breaks`, async () => {
    for (let n = 0; n < SCHEDULES; n++) {
      const steps = busStepsOf((seed + n) % 2 ** 31);
      await expectShown(steps, await playBusModel(steps));
    }
  });

  test("and is told apart from one that stores again what is sent again", async () => {
    for (let n = 1; n < TRIED; n++) {
      const steps = busStepsOf(n);
      const [right, wrong] = [await playBusModel(steps), await playBusModel(steps, true)];
      if (JSON.stringify(wrong) === JSON.stringify(right)) continue;
      return expectShown(steps, right);
    }
    throw new Error(`no schedule of ${TRIED} shows it`);
  });
});
