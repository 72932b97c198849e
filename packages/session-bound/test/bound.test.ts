import { expect, test } from "vitest";
import { Device } from "./device.ts";
import { startSite } from "./site.ts";

const COOKIE = "__Host-bound";

test("a session is bound after its sign-in, and goes on with a bound cookie", async () => {
  await using site = await startSite();
  const device = await Device.at(site);
  await device.bind();
  const me = await (await device.fetch("/me")).json();
  expect(me).toEqual({
    user: "ada",
    device: { algorithm: "ES256", since: expect.any(String), thumbprint: expect.any(String) },
  });
  expect(await device.status("/strict")).toBe(200);
  device.cookies.delete(COOKIE);
  expect(await device.status("/me")).toBe(401);
  expect((await device.refresh()).status).toBe(200);
  expect(await device.status("/me")).toBe(200);
  expect(site.errors).toEqual([]);
});

test("a list says which sessions are bound, and nothing of their secrets", async () => {
  await using site = await startSite();
  const device = await Device.at(site);
  await device.bind();
  await site.sessions.create({ userId: "ada" });
  const list = await site.sessions.list({ user: "ada" });
  expect(list.map((it) => it.isBound).sort()).toEqual([false, true]);
  expect(JSON.stringify(list)).not.toMatch(/secret|challenge/);
});
