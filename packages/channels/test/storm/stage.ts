import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Streams } from "@lanai/pubsub";
import { createPubSub, type PubSub } from "@lanai/pubsub";
import { rolldown } from "rolldown";
import { freePort, temporaryFolder } from "../../../../scripts/services/server-process.ts";
import { AppProcess } from "../../../../scripts/testing/app-process.ts";
import { startBalancer } from "../../../../scripts/testing/balancer.ts";
import type { ProcessOptions } from "./process.ts";

/** A broker that can be killed, with a way to publish that nobody else kills. */
export interface Broker {
  readonly bus: ProcessOptions["bus"];
  readonly port: number;
  kill(): Promise<void>;
  restart(): Promise<void>;
  /** Opens the backend for the publisher; `undefined`: there is one inside the app's process only. */
  open(): Promise<(PubSub & Streams) | undefined>;
  stop(): Promise<void>;
}

/** The page's script, bundled as for a browser. */
export async function bundlePage(): Promise<string> {
  await using bundle = await rolldown({
    input: fileURLToPath(new URL("page.ts", import.meta.url)),
    resolve: { conditionNames: ["@lanai/source", "import"] },
    onLog() {},
  });
  const { output } = await bundle.generate({ format: "esm", minify: true });
  return output[0].code;
}

/** The processes of the app, the way to them, and whoever publishes. */
export async function setStage(broker: Broker) {
  const folder = temporaryFolder("storm");
  const script = await bundlePage();
  const count = broker.bus === "memory" ? 1 : 2;
  const program = new URL("process.ts", import.meta.url);
  const processes: AppProcess<ProcessOptions>[] = [];
  for (let i = 0; i < count; i++) {
    const port = await freePort();
    const options = { bus: broker.bus, broker: broker.port, port, folder: folder.path, script };
    processes.push(new AppProcess(program, options));
  }
  await Promise.all(processes.map((it) => it.start()));
  const balancer = await startBalancer(() =>
    processes.filter((it) => it.isUp).map((it) => it.port),
  );
  const backend = await broker.open();
  const bus = backend && createPubSub({ backend });
  if (bus) await bus.ensureStream({ name: "storm", subjects: ["channels.>"], maxMsgs: 2_000 });
  /** The numbers that are known to be published, in their order. */
  const published: number[] = [];
  let last = 0;

  const publishOnce = async (n: number): Promise<void> => {
    if (bus) {
      await bus.publish("channels.room.storm", { e: "said", d: n }, { messageId: `n-${n}` });
      return;
    }
    // Long enough for a busy machine: one that was given up could come after the next one.
    const signal = AbortSignal.timeout(60_000);
    const url = `http://127.0.0.1:${processes[0]?.port}/say?n=${n}`;
    const { ok } = await fetch(url, { signal });
    if (!ok) throw new Error("it was not published");
  };

  return {
    ...{ processes, balancer, published, broker },
    url: `http://127.0.0.1:${balancer.port}`,
    /** Publishes the next number: until it is known to be stored, or in memory, once. */
    async publish(): Promise<void> {
      last += 1;
      const n = last;
      for (;;) {
        try {
          await publishOnce(n);
          published.push(n);
          return;
        } catch {
          await new Promise((resolve) => setTimeout(resolve, 30));
          // In memory nothing recognises a number that is published again.
          if (!bus) return;
        }
      }
    },
    /** The calls that were handled, as often as they were. */
    handled(): string[] {
      const file = `${folder.path}/handled`;
      return existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean) : [];
    },
    async [Symbol.asyncDispose]() {
      await balancer.stop();
      await Promise.all(processes.map((it) => it.stop("SIGKILL")));
      await bus?.close();
      await broker.stop();
      folder.remove();
    },
  };
}

export type Stage = Awaited<ReturnType<typeof setStage>>;
