import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { connect, newFile, rowsOf } from "./files.ts";
import { lockHolder } from "./lock-holder.ts";

test("a process that stood still while it waited for the lock stores when it goes on", async () => {
  const file = newFile();
  const other = await lockHolder(file);
  const app = fork(fileURLToPath(new URL("standstill-process.ts", import.meta.url)), [file], {
    execArgv: ["--conditions=@lanai/source"],
  });
  onTestFinished(() => void app.kill("SIGKILL"));
  const [port] = await once(app, "message");

  await other.lock();
  const answer = fetch(`http://127.0.0.1:${port}/`);
  await once(app, "message");
  app.kill("SIGSTOP");
  // Longer than busyTimeout and storeTimeout: the lock is let go meanwhile.
  await wait(2_500);
  await other.unlock();
  app.kill("SIGCONT");
  expect((await answer).status).toBe(200);
  expect(rowsOf(connect(file))).toMatchObject({ sessions: 1 });
});
