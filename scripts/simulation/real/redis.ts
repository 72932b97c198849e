import { redisStore } from "@lanai/session-redis";
import { Redis } from "ioredis";
import { FORGET, LIST, ONCE } from "../../../packages/session-redis/src/scripts.ts";
import { type Framing, startHoldingProxy } from "./holding-proxy.ts";
import type { Driver, RealWorker } from "./play.ts";

/** Returns where a value of RESP2 or RESP3 ends that begins at `at`, or 0. */
function endOf(bytes: Buffer, at = 0): number {
  const lineEnd = bytes.indexOf("\r\n", at);
  if (lineEnd < 0) return 0;
  const kind = String.fromCharCode(bytes[at] as number);
  const count = Number(bytes.toString("latin1", at + 1, lineEnd));
  let end = lineEnd + 2;
  if ("$!=".includes(kind) && count >= 0) end += count + 2;
  const parts = "*~>".includes(kind) ? count : kind === "%" ? 2 * count : 0;
  for (let n = 0; n < parts && end > 0; n++) end = endOf(bytes, end);
  return end > bytes.length ? 0 : end;
}

const RESP: Framing = {
  requestLength: (bytes) => endOf(bytes),
  answerLength: (bytes) => endOf(bytes),
  // What a store sends beside its calls, and the client when it connects, is nobody's turn.
  isHeld: (request) => /EVALSHA/i.test(request.toString("latin1")) && !request.includes(FORGET.sha),
};

const numberOf = (answer: Buffer): number => Number(/^\*(\d+)/.exec(answer.toString())?.[1]);

/** `@lanai/session-redis` by ioredis, on a server at a port. */
export async function redisDriver(port: number): Promise<Driver> {
  const redis = new Redis(port);
  const direct = redisStore(redis);
  await warmUp(direct);
  const ends: (() => unknown)[] = [() => redis.disconnect()];

  const open = async (): Promise<RealWorker> => {
    const proxy = await startHoldingProxy(port, RESP);
    // As in the package's README.
    const client = new Redis(proxy.port, { maxRetriesPerRequest: 1, retryStrategy: () => 1 });
    client.on("error", () => {});
    ends.push(
      () => client.disconnect(),
      () => proxy[Symbol.asyncDispose](),
    );
    return { store: redisStore(client), proxy, hasSeenCut: () => Promise.resolve() };
  };
  return {
    onCut: "resend",
    inSteps: ["destroyAll", "list", "commitByPublicId", "destroyByPublicId"],
    direct,
    workers: [await open(), await open()],
    following({ method, args }, _round, request, answer) {
      if (request.includes(LIST.sha)) {
        if (method === "list") return Math.min(1, numberOf(answer));
        if (method === "commitByPublicId") return answer.includes(String(args[1])) ? 1 : 0;
        return 1;
      }
      if (!request.includes(ONCE.sha)) return 0;
      const [, json = "[]"] = answer.toString().split("\r\n");
      return (JSON.parse(json) as unknown[]).length;
    },
    async [Symbol.asyncDispose]() {
      for (const end of ends) await end();
    },
  };
}

/** Lets the server know each script, so that each call is sent by its hash. */
async function warmUp(store: Driver["direct"]): Promise<void> {
  const [key, owner] = ["ab.first", "user:first"];
  const given = { operation: "first", publicId: "first", values: new Map<string, string>() };
  await store.create(key, { ...given, owners: new Set([owner]), idle: 60_000, absolute: 60_000 });
  await store.load(key);
  await store.list(owner);
  await store.destroyAll(owner, { operation: "last" });
}
