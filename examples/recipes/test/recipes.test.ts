import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import Koa from "koa";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { until } from "../../../scripts/testing/until.ts";

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
        // As a browser's page of this site, unless the test says otherwise.
        headers: {
          ...(headers.Origin === undefined && { "Sec-Fetch-Site": "same-origin" }),
          ...headers,
          ...(cookie && { cookie }),
        },
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

test("fresh-sign-in: who confirms is sent back to a page of this site", async () => {
  await import("../src/fresh-sign-in.ts");
  const ada = await visitor();
  const headers = { Origin: `http://localhost:${(server.address() as AddressInfo).port}` };
  await ada.ask("POST", "/sign-in", headers);
  const sent = await ada.ask("GET", "/payment?id=7");
  expect(sent.headers.get("Location")).toBe("/confirm?to=%2Fpayment%3Fid%3D7");
  expect(await ada.read("/confirm")).toContain('method="post"');
  const confirmed = await ada.ask("POST", "/confirm?to=%2Fpayment%3Fid%3D7", headers);
  expect(confirmed.headers.get("Location")).toBe("/payment?id=7");
  expect(await ada.read("/payment")).toMatch(/^Signed in at 2/);
  const lured = await ada.ask("POST", "/confirm?to=//evil.example", headers);
  expect(lured.headers.get("Location")).toBe("/");
});

test("acting: an administrator acts for a user, may not delete the account, and goes back", async () => {
  await import("../src/acting.ts");
  const root = await visitor();
  const headers = { Origin: `http://localhost:${(server.address() as AddressInfo).port}` };
  await root.ask("POST", "/sign-in/root", headers);
  await root.ask("POST", "/act-for/ada", headers);
  expect(await root.read("/")).toBe("root acts for ada\n");
  expect((await root.ask("POST", "/delete-account", headers)).status).toBe(403);
  expect(await (await root.ask("POST", "/stop", headers)).json()).toEqual({ isBack: true });
  expect(await root.read("/")).toBe("Hello root\n");
  const bob = await visitor();
  await bob.ask("POST", "/sign-in/bob", headers);
  expect((await bob.ask("POST", "/act-for/ada", headers)).status).toBe(403);
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

test.each([
  ["sign-in", "/sign-in"],
  ["cart", "/cart/tea"],
  ["devices", "/sign-in"],
  ["accounts", "/u/0/sign-in/ada"],
  ["devices-page", "/sign-in/ada"],
  ["two-managers", "/sign-in"],
  ["fresh-sign-in", "/sign-in"],
])("%s: a POST from another site is refused", async (recipe, path) => {
  await import(`../src/${recipe}.ts`);
  const ada = await visitor();
  const headers = { Origin: "https://evil.example", "Sec-Fetch-Site": "cross-site" };
  expect((await ada.ask("POST", path, headers)).status).toBe(403);
  expect((await ada.ask("POST", path, { "Sec-Fetch-Site": "same-site" })).status).toBe(403);
  expect(ada.cookies.size).toBe(0);
});

test("encrypted: the file holds no value, also after a restart and a rotation", async () => {
  const folder = await mkdtemp(join(tmpdir(), "lanai-"));
  const file = join(folder, "sessions.db");
  vi.stubEnv("SESSION_FILE", file);
  const [old, fresh] = ["an old secret of thirty-two bytes", "a new secret of thirty-two bytes"];
  vi.stubEnv("SESSION_KEYS", old);
  await import("../src/encrypted.ts");
  const ada = await visitor();
  expect(await ada.read("/")).toBe("Visit 1, which the file doesn't tell\n");
  expect(await ada.read("/")).toBe("Visit 2, which the file doesn't tell\n");
  const database = new DatabaseSync(file);
  const rows = JSON.stringify(database.prepare("SELECT * FROM sessions").all());
  database.close();
  expect(rows).toMatch(/d:visits.{1,8}e1\./);
  server.close();
  vi.resetModules();
  vi.stubEnv("SESSION_KEYS", `${fresh},${old}`);
  await import("../src/encrypted.ts");
  const again = await visitor();
  for (const [name, value] of ada.cookies) again.cookies.set(name, value);
  expect(await again.read("/")).toBe("Visit 3, which the file doesn't tell\n");
  await rm(folder, { recursive: true });
});

test("sealed: the session is in the cookie, also after a restart and a rotation", async () => {
  const refusal = "sealedStore: keys[0] must have at least 32 bytes, got 0";
  await expect(import("../src/sealed.ts")).rejects.toThrow(refusal);
  vi.resetModules();
  vi.stubEnv("SESSION_KEYS", "k".repeat(32));
  await import("../src/sealed.ts");
  const before = await visitor();
  expect(await before.read("/")).toMatch(/^Visit 1,/);
  server.close();

  vi.resetModules();
  vi.stubEnv("SESSION_KEYS", ["n".repeat(32), "k".repeat(32)].join());
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
  expect(secure.headers.get("Set-Cookie")).toMatch(
    /^__Host-Http-visit=.*; Secure; SameSite=Strict/,
  );
});

test("devices-page: a user names a device, with the network that it signed in from", async () => {
  await import("../src/devices-page.ts");
  const ada = await visitor();
  const agent = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
  await ada.ask("POST", "/sign-in/ada", { "User-Agent": agent });
  const html = await ada.read("/devices");
  expect(html).toContain("<h2>Firefox on Linux</h2>");
  expect(html).toMatch(/From (127\.0\.0\.0\/24|::\/48)/);
  expect((await ada.ask("POST", "/devices/end-all")).headers.get("Location")).toBe("/");
  expect((await ada.ask("GET", "/devices")).status).toBe(401);
});

test("accounts: three accounts in one browser, each signed out alone or everywhere", async () => {
  await import("../src/accounts.ts");
  const [desk, phone] = [await visitor(), await visitor()];
  await desk.ask("POST", "/u/0/sign-in/ada");
  await desk.ask("POST", "/u/1/sign-in/grace");
  await phone.ask("POST", "/u/0/sign-in/grace");
  expect(await desk.read("/u/0")).toBe("Hello ada\n");
  expect(await desk.read("/u/1")).toBe("Hello grace\n");
  expect((await desk.ask("GET", "/u/2")).status).toBe(401);
  expect([...desk.cookies.keys()]).toEqual(["account0", "account1"]);
  // One user's sign-out everywhere leaves the other account of each browser.
  expect(await (await phone.ask("POST", "/u/0/sign-out-everywhere")).json()).toEqual({ ended: 2 });
  expect((await desk.ask("GET", "/u/1")).status).toBe(401);
  expect(await desk.read("/u/0")).toBe("Hello ada\n");
  await desk.ask("POST", "/u/0/sign-out");
  expect((await desk.ask("GET", "/u/0")).status).toBe(401);
});

test("operators: everybody is counted and signed out, by nobody but an operator", async () => {
  await import("../src/operators.ts");
  const [ada, grace, operator] = [await visitor(), await visitor(), await visitor()];
  for (const [whose, name] of [
    [ada, "ada"],
    [grace, "grace"],
    [operator, "operator"],
  ] as const) {
    await whose.ask("POST", `/sign-in/${name}`);
  }
  expect((await ada.ask("GET", "/operators/sessions")).status).toBe(403);
  expect((await ada.ask("POST", "/operators/sign-everybody-out")).status).toBe(403);
  expect(JSON.parse(await operator.read("/operators/sessions"))).toEqual({
    sessions: 3,
    users: ["ada", "grace", "operator"],
  });
  const ended = await operator.ask("POST", "/operators/sign-everybody-out");
  expect(await ended.json()).toEqual({ ended: 3 });
  expect((await operator.ask("GET", "/operators/sessions")).status).toBe(401);
});

test("shared-computer: over HTTPS a sign-out clears what the pages have kept", async () => {
  vi.stubEnv("BEHIND_PROXY", "yes");
  await import("../src/shared-computer.ts");
  const ada = await visitor();
  const https = { "X-Forwarded-Proto": "https" };
  await ada.ask("POST", "/sign-in/ada", https);
  const { headers } = await ada.ask("POST", "/sign-out", https);
  expect(headers.get("Clear-Site-Data")).toBe('"storage", "cache"');
  expect((await ada.ask("POST", "/sign-out")).headers.has("Clear-Site-Data")).toBe(false);
});

test("form-token: a form of the session is taken, and one of another or none is not", async () => {
  await import("../src/form-token.ts");
  const [ada, grace] = [await visitor(), await visitor()];
  const tokenFor = async (whose: typeof ada) =>
    (JSON.parse(await whose.read("/")) as { token: string }).token;
  const [own, other] = [await tokenFor(ada), await tokenFor(grace)];
  const post = async (token: string) =>
    (await ada.ask("POST", "/", { "X-Form-Token": token })).status;
  expect([await post(own), await post(other), await post("")]).toEqual([200, 403, 403]);
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
  await until(async () => expect(await ada.read("/")).toBe("ready\n"));
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
  await until(() => expect(log).toHaveBeenCalledTimes(2));
});

test("events: a session that begins is told by its public name", async () => {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  await import("../src/events.ts");
  const ada = await visitor();
  await ada.read("/");
  expect(log).toHaveBeenCalledWith("info", "created", expect.stringMatching(/^[\w-]{22}$/), "", "");
});

test("same-origin: another site's request is refused, and a listed origin's is not", async () => {
  await import("../src/same-origin.ts");
  const ada = await visitor();
  const own = `http://localhost:${(server.address() as AddressInfo).port}`;
  expect((await ada.ask("POST", "/sign-in", { Origin: own })).status).toBe(204);
  const change = async (headers: Record<string, string>) =>
    (await ada.ask("POST", "/theme/dark", headers)).status;
  expect(await change({ Origin: own })).toBe(204);
  expect(await change({ Origin: "https://admin.example.com" })).toBe(204);
  expect(await change({ Origin: "https://evil.example" })).toBe(403);
  expect(await change({ Origin: own, "Sec-Fetch-Site": "cross-site" })).toBe(403);
  const cookie = [...ada.cookies].map((pair) => pair.join("=")).join("; ");
  const bare = await fetch(`${own}/theme/dark`, { method: "POST", headers: { cookie } });
  expect(bare.status).toBe(403);
});

test("proxy-upgrade: messages, subprotocols, close codes and refusals pass in both directions", async () => {
  const inner = new WebSocketServer({
    port: 0,
    host: "127.0.0.1",
    verifyClient: ({ req }, accept) => accept(req.url !== "/inner/refused", 401),
  });
  inner.on("connection", (socket, request) => {
    // Sent before the outer socket exists.
    socket.send(`early ${request.url}`);
    socket.on("message", (data, binary) => {
      if (String(data) === "end") socket.close(4001, "done");
      else socket.send(data, { binary });
    });
  });
  await once(inner, "listening");
  vi.stubEnv("TARGET", `ws://127.0.0.1:${(inner.address() as AddressInfo).port}`);
  await import("../src/proxy-upgrade.ts");
  await visitor();
  const { port } = server.address() as AddressInfo;
  const connect = (path: string) => new WebSocket(`ws://localhost:${port}${path}`, ["chat"]);
  try {
    const socket = connect("/inner/a?b=c");
    const heard: unknown[] = [];
    socket.on("message", (data, binary) => heard.push([String(data), binary]));
    const closed = once(socket, "close");
    await once(socket, "open");
    expect(socket.protocol).toBe("chat");
    socket.send("text");
    socket.send(Buffer.from("bytes"));
    const large = "x".repeat(300_000);
    for (let n = 0; n < 3; n++) socket.send(large);
    socket.send("end");
    const [code, reason] = await closed;
    expect([code, String(reason)]).toEqual([4001, "done"]);
    expect(heard).toEqual([
      ["early /inner/a?b=c", false],
      ["text", false],
      ["bytes", true],
      ...Array(3).fill([large, false]),
    ]);

    const [, answer] = await once(
      connect("/inner/refused").on("error", () => {}),
      "unexpected-response",
    );
    expect(answer.statusCode).toBe(401);

    const leaving = connect("/inner/b");
    await once(leaving, "open");
    const [left] = [...inner.clients];
    const gone = once(left as WebSocket, "close");
    leaving.terminate();
    await gone;
  } finally {
    for (const client of inner.clients) client.terminate();
    inner.close();
  }
});

test("metrics: Prometheus scrapes what happened, counted by channel, level and reason", async () => {
  await import("../src/metrics.ts");
  const [ada, eve] = [await visitor(), await visitor()];
  await ada.ask("GET", "/");
  await eve.ask("GET", "/", { cookie: "sid=made-up" });
  const scraped = await ada.ask("GET", "/metrics");
  expect(scraped.headers.get("Content-Type")).toContain("text/plain");
  const lines = (await scraped.text()).split("\n").filter((line) => !line.startsWith("#"));
  const count = (channel: string, ...labels: string[]) =>
    lines
      .filter((line) =>
        [`channel="lanai:session:${channel}"`, ...labels].every((it) => line.includes(it)),
      )
      .map((line) => Number(line.split(" ")[1]));
  expect(count("created", 'level="info"')).toEqual([2]);
  expect(count("refused", 'reason="malformed"')).toEqual([1]);
  expect(count("unavailable")).toEqual([]);
});
