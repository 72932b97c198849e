import { join } from "node:path";
import { connect } from "@lanai/browser";
import { expect, test } from "vitest";
import { hostOf } from "../../../packages/channels/test/page.ts";
import { freePort } from "../../../scripts/services/server-process.ts";
import { startProgram } from "../../program.ts";
import type { Live } from "../src/withdraw-right.ts";

test("withdraw-right: whoever loses the right leaves the room, and doesn't come back", async () => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  await using _program = await startProgram(
    join(import.meta.dirname, ".."),
    "src/withdraw-right.ts",
    port,
    {},
  );
  const signIn = async (name: string) => {
    const { headers } = await fetch(`${url}/sign-in/${name}`, { method: "POST" });
    const cookies = headers.getSetCookie().map((it) => it.split(";")[0]);
    return cookies.join("; ");
  };
  const [ada, grace] = [await signIn("ada"), await signIn("grace")];
  const line = connect<Live>(`${url}/live`, { host: hostOf(ada) });
  const room = line.join("room.:id", { id: "general" });
  const left = new Promise((resolve) => room.on("left", resolve));
  await room.joined;

  const remove = (cookie: string) =>
    fetch(`${url}/rooms/general/members/ada`, {
      method: "DELETE",
      headers: { cookie, "Sec-Fetch-Site": "same-origin" },
    });
  expect((await remove(ada)).status).toBe(403);
  expect((await remove(grace)).status).toBe(204);

  expect(await left).toMatchObject({ code: "ERR_REFUSED" });
  expect(line.state).toBe("open");
  await expect(line.join("room.:id", { id: "general" }).joined).rejects.toMatchObject({
    code: "ERR_REFUSED",
  });
  line.close();
});
