import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import Koa from "koa";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

let server: Server;

beforeEach(() => {
  vi.resetModules();
  const { listen } = Koa.prototype;
  vi.spyOn(Koa.prototype, "listen").mockImplementation(function (this: Koa) {
    this.silent = true;
    server = listen.call(this, 0);
    return server;
  });
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  server.close();
  server.closeAllConnections();
});

/** A client of the recipe that was imported, on a free port: it keeps cookies and follows nothing. */
async function visitor() {
  if (!server.listening) await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const cookies = new Map<string, string>();
  return {
    cookies,
    async ask(method: string, path: string, headers: Record<string, string> = {}) {
      const cookie = [...cookies].map((pair) => pair.join("=")).join("; ");
      const response = await fetch(`http://localhost:${port}${path}`, {
        method,
        headers: { ...headers, ...(cookie && { cookie }) },
        redirect: "manual",
      });
      for (const line of response.headers.getSetCookie()) {
        const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
        if (value === "") cookies.delete(name);
        else cookies.set(name, value);
      }
      return response;
    },
    async read(path: string) {
      return (await this.ask("GET", path)).text();
    },
  };
}

test("sign-in: a user signs in, stays and signs out", async () => {
  await import("../src/sign-in.ts");
  const ada = await visitor();
  expect((await ada.ask("GET", "/")).status).toBe(401);
  const signedIn = await ada.ask("POST", "/sign-in?stay=yes");
  expect(signedIn.headers.get("Set-Cookie")).toContain("Max-Age=2592000");
  expect(await ada.read("/")).toBe("Hello ada, your theme is dark\n");
  await ada.ask("POST", "/sign-out");
  expect((await ada.ask("GET", "/")).status).toBe(401);
});

test("cart: what is added at once is all there, and the notice is shown once", async () => {
  await import("../src/cart.ts");
  const ada = await visitor();
  await ada.ask("POST", "/cart/tea");
  await Promise.all(["milk", "salt"].map((item) => ada.ask("POST", `/cart/${item}`)));
  const first = JSON.parse(await ada.read("/cart"));
  expect(first.cart.toSorted()).toEqual(["milk", "salt", "tea"]);
  expect(first.notice).toMatch(/^(milk|salt) is in the cart$/);
  expect(JSON.parse(await ada.read("/cart")).notice).toBe("");
});

test("devices: a user lists their sessions and ends the others", async () => {
  await import("../src/devices.ts");
  const [phone, desk, eve] = [await visitor(), await visitor(), await visitor()];
  for (const it of [phone, desk]) await it.ask("POST", "/sign-in/ada");
  await eve.ask("POST", "/sign-in/eve");
  const list = JSON.parse(await phone.read("/devices"));
  expect(list).toHaveLength(2);
  expect(JSON.stringify(list)).not.toContain(phone.cookies.get("sid"));
  const [other] = list.filter((it: { here: boolean }) => !it.here);
  expect((await eve.ask("DELETE", `/devices/${other.name}`)).status).toBe(404);
  expect((await phone.ask("DELETE", `/devices/${other.name}`)).status).toBe(204);
  expect((await desk.ask("GET", "/devices")).status).toBe(401);
  await desk.ask("POST", "/sign-in/ada");
  const ended = await phone.ask("POST", "/devices/end-others");
  expect(await ended.json()).toEqual({ ended: 1 });
  expect((await eve.ask("GET", "/devices")).status).toBe(200);
});

test("lazy: a route that doesn't ask for the session works, and so do those that do", async () => {
  await import("../src/lazy.ts");
  const ada = await visitor();
  expect(await ada.read("/health")).toBe("ok\n");
  expect(await ada.read("/greeting")).toBe("Hello stranger\n");
  expect([await ada.read("/count"), await ada.read("/count")]).toEqual(["1\n", "2\n"]);
});

test("sealed: the session is in the cookie, also after a restart and a rotation", async () => {
  const refusal = "sealedStore: keys[0] must have at least 32 bytes, got 0";
  await expect(import("../src/sealed.ts")).rejects.toThrow(refusal);
  vi.resetModules();
  vi.stubEnv("SESSION_KEY", "k".repeat(32));
  await import("../src/sealed.ts");
  const before = await visitor();
  expect(await before.read("/")).toMatch(/^Visit 1,/);
  server.close();

  vi.resetModules();
  vi.stubEnv("SESSION_KEY", "n".repeat(32));
  vi.stubEnv("OLD_SESSION_KEY", "k".repeat(32));
  await import("../src/sealed.ts");
  const after = await visitor();
  for (const [name, value] of before.cookies) after.cookies.set(name, value);
  expect(await after.read("/")).toMatch(/^Visit 2,/);
});

test("trackers: a program with the header is answered by the header, a browser by a cookie", async () => {
  await import("../src/trackers.ts");
  const browser = await visitor();
  expect(await browser.read("/")).toBe("Visit 1\n");
  expect(await browser.read("/")).toBe("Visit 2\n");
  const program = await visitor();
  const { headers } = await program.ask("GET", "/", {
    "session-id": browser.cookies.get("visit") ?? "",
  });
  expect(headers.has("Set-Cookie")).toBe(false);
  const secure = await program.ask("GET", "/", { "x-forwarded-proto": "https" });
  expect(secure.headers.get("Set-Cookie")).toMatch(/^__Host-visit=.*; Secure; SameSite=Strict/);
});

test("two managers: staff are apart from visitors", async () => {
  await import("../src/two-managers.ts");
  const grace = await visitor();
  expect((await grace.ask("GET", "/office")).status).toBe(401);
  await grace.ask("POST", "/office/sign-in");
  expect(await grace.read("/office")).toBe("chief grace\n");
  expect([...grace.cookies.keys()]).toEqual(["staff"]);
});

test("outside: work that goes on after the answer writes to the session", async () => {
  await import("../src/outside.ts");
  const ada = await visitor();
  expect(await ada.read("/start")).toBe("under way\n");
  await vi.waitFor(async () => expect(await ada.read("/")).toBe("ready\n"));
});

test("connection: the header is sent with an error too, and the end is seen", async () => {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  await import("../src/connection.ts");
  const ada = await visitor();
  for (const [path, status] of [
    ["/", 200],
    ["/fails", 403],
  ] as const) {
    const response = await ada.ask("GET", path);
    expect(response.status).toBe(status);
    expect(response.headers.get("Server-Timing")).toMatch(/^app;dur=\d+\.\d$/);
  }
  await vi.waitFor(() => expect(log).toHaveBeenCalledTimes(2));
});

test("events: a session that begins is told by its public name", async () => {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  await import("../src/events.ts");
  const ada = await visitor();
  await ada.read("/");
  expect(log).toHaveBeenCalledWith("info", "created", expect.stringMatching(/^[\w-]{22}$/), "", "");
});
