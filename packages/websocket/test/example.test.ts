import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import { freePort } from "../../../scripts/services/server-process.ts";
import { until } from "../../../scripts/testing/until.ts";

test("the README's example lets in who has signed in, and everyone hears everyone", async () => {
  const port = await freePort();
  const app = fork(fileURLToPath(new URL("example.ts", import.meta.url)), {
    execArgv: ["--conditions=@lanai/source"],
    env: { ...process.env, PORT: `${port}` },
  });
  onTestFinished(() => void app.kill("SIGKILL"));
  const signIn = async (name: string): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${port}/sign-in/${name}`, { method: "POST" });
    return response.headers.getSetCookie()[0]?.split(";")[0] ?? "";
  };
  const enter = async (headers: Record<string, string>) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/chat`, { headers });
    const heard: string[] = [];
    socket.on("message", (text) => heard.push(String(text)));
    await once(socket, "open");
    return { socket, heard };
  };
  const ada = await enter({ Cookie: await until(() => signIn("ada")) });
  const grace = await enter({ Cookie: await signIn("grace") });
  ada.socket.send("hello");
  await until(() => expect(grace.heard).toEqual(["ada: hello"]));
  await expect(enter({})).rejects.toThrow("401");
  const foreign = { Cookie: await signIn("ada"), Origin: "https://evil.example" };
  await expect(enter(foreign)).rejects.toThrow("403");
  for (const { socket } of [ada, grace]) socket.terminate();
});
