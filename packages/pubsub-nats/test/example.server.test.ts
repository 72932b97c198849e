import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { startNats } from "../../../scripts/services/nats.ts";
import { freePort } from "../../../scripts/services/server-process.ts";
import { until } from "./servers.ts";

test("the README's example shows what was said to another process, and ends when it is told to", async () => {
  await using server = await startNats();
  const start = async () => {
    const port = await freePort();
    const app = fork(fileURLToPath(new URL("example.ts", import.meta.url)), {
      execArgv: ["--conditions=@lanai/source"],
      env: { ...process.env, NATS_URL: `nats://127.0.0.1:${server.port}`, PORT: `${port}` },
      silent: true,
    });
    let written = "";
    app.stdout?.on("data", (chunk) => {
      written += chunk;
    });
    const url = `http://127.0.0.1:${port}`;
    await until("it answers", () =>
      fetch(url).then(
        () => true,
        () => false,
      ),
    );
    return { app, url, written: () => written };
  };
  const [one, other] = await Promise.all([start(), start()]);
  await fetch(`${one.url}?text=hello`, { method: "POST" });
  expect(await (await fetch(other.url)).text()).toBe("hello\n");
  await until("both have heard it", () =>
    [one, other].every(({ written }) => written() === "chat.lobby: hello\n"),
  );
  for (const { app } of [one, other]) {
    app.kill("SIGTERM");
    expect(await once(app, "exit")).toEqual([0, null]);
  }
});
