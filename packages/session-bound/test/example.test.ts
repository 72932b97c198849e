import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { startProgram } from "../../../examples/program.ts";
import { freePort } from "../../../scripts/services/server-process.ts";
import { Device } from "./device.ts";

test("the program of the README binds a session", async () => {
  const port = await freePort();
  const program = fileURLToPath(new URL("example.ts", import.meta.url));
  await using _running = await startProgram(import.meta.dirname, program, port, {});
  const device = await Device.at({ url: `http://127.0.0.1:${port}` });
  await device.fetch("/sign-in", { method: "POST" });
  expect(await device.status("/transfer")).toBe(401);
  expect((await device.register()).status).toBe(200);
  expect(await (await device.fetch("/transfer")).text()).toBe(
    "Only on the device of the session\n",
  );
  device.cookies.delete("__Host-bound");
  expect(await device.status("/")).toBe(401);
});
