// Makes one call of each kind when it is told to, and says how each ended.
import { natsPubSub } from "@lanai/pubsub-nats";
import { connectTo } from "./servers.ts";

const connection = await connectTo({ port: Number(process.argv[2]) });
const backend = natsPubSub(connection, { timeout: 1_000, checkInterval: 60_000 });
await backend.ensureStream({ name: "kept", subjects: ["kept"] });
const heard: string[] = [];
await backend.subscribe("kept", () => heard.push("kept"), {
  onError: ({ code }) => heard.push(code),
  onGap: ({ reason }) => heard.push(reason),
});

async function call(): Promise<void> {
  const calls: Record<string, Promise<unknown>> = {
    plain: backend.publish("plain", "x"),
    kept: backend.publish("kept", "x"),
    subscribe: backend.subscribe("other", () => {}),
  };
  const ended = await Promise.all(
    Object.entries(calls).map(([name, call]) =>
      call.then(
        () => `${name}: resolved`,
        (error) => `${name}: ${error.message}`,
      ),
    ),
  );
  while (heard.length === 0) await new Promise(setImmediate);
  process.send?.({ ended, heard });
}

process.on("message", () => void call());
process.send?.("ready");
