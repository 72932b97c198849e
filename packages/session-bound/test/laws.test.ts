import { randomBytes } from "node:crypto";
import { memoryStore } from "@lanai/session";
import Koa from "koa";
import Koa2 from "koa2";
import { describe, expect, test } from "vitest";
import { stoppedClock } from "./clock.ts";
import { Device } from "./device.ts";
import { rawGet } from "./raw-get.ts";
import { startSite } from "./site.ts";

const COOKIE = "__Host-bound";
const LIFETIME = 60_000;

async function codeOf(response: Response): Promise<string | null> {
  await response.text();
  return response.headers.get("WWW-Authenticate");
}

describe("D1: a copied cookie jar", () => {
  test.each([
    ["Koa 3", Koa],
    ["Koa 2", Koa2],
  ])(
    "D1: opens everything while its bound cookie lives and nothing afterwards (%s)",
    async (_name, App) => {
      const { clock, advance } = stoppedClock();
      await using site = await startSite({ App, clock, lifetime: LIFETIME });
      const device = await (await Device.at(site)).bind();
      const thief = await device.thief();
      expect(await thief.status("/me")).toBe(200);
      advance(LIFETIME - 1);
      expect(await thief.status("/me")).toBe(200);
      advance(1);
      const refused = await thief.fetch("/me");
      expect(refused.status).toBe(401);
      expect(refused.headers.get("Cache-Control")).toBe("no-store");
      expect(await codeOf(refused)).toBe('Session realm="device", code="ERR_BOUND_PROOF"');
      expect((await device.refresh()).status).toBe(200);
      expect(await device.status("/me")).toBe(200);
      expect(await thief.status("/me")).toBe(401);
    },
  );

  test("D1: taken before the registration opens nothing after a minute", async () => {
    const { clock, advance } = stoppedClock();
    await using site = await startSite({ clock });
    const device = await Device.at(site);
    await device.fetch("/sign-in");
    const thief = await device.thief();
    await device.register();
    expect(await thief.status("/me")).toBe(200);
    advance(60_000);
    expect(await thief.status("/me")).toBe(401);
  });

  test("D1: opens nothing of what was excluded in another spelling", async () => {
    await using site = await startSite({ scope: { exclude: ["/open"] } });
    const device = await (await Device.at(site)).bind();
    device.cookies.delete(COOKIE);
    const statusOf = async (path: string) =>
      (await rawGet(site, path, { cookie: device.cookie })).statusCode;
    for (const path of ["/open/a", "/open/a/b.css?c=../d"]) {
      expect([path, await statusOf(path)]).toEqual([path, 200]);
    }
    for (const path of [
      ...["/opened", "/open//a", "/open/../me", "/open/./a", "/open/%2e%2e/me", "/open/%2E./me"],
      ...["/open/a%2fb", "/open/..%5cme", "/open/..\\me", "/OPEN/a", "//open/a", "/me?/open/a"],
      ...["/open/..;/me", `${site.url}/open/a`],
    ]) {
      expect([path, await statusOf(path)]).toEqual([path, 401]);
    }
  });

  test.each([
    ["another session's", (_: string, other: string) => other],
    [
      "a longer life",
      (own: string) =>
        own.replace(/^[^.]*/, (it) => (Number.parseInt(it, 36) + 60_000).toString(36)),
    ],
    [
      "another signature",
      (own: string) => own.replace(/[^.]*$/, randomBytes(32).toString("base64url")),
    ],
    ["no signature", (own: string) => own.replace(/[^.]*$/, "")],
    ["nothing", () => ""],
    ["a text", () => "bound"],
    ["8 kB", () => "a".repeat(8_000)],
  ])("D1: a bound cookie with %s is none", async (_name, forge) => {
    await using site = await startSite();
    const device = await (await Device.at(site)).bind();
    const other = await (await Device.at(site)).bind("bob");
    const [own, others] = [device, other].map((it) => it.cookies.get(COOKIE) ?? "");
    device.cookies.set(COOKIE, forge(own ?? "", others ?? ""));
    expect(await device.status("/me")).toBe(401);
  });

  test("D1: a bound cookie is none of another session with the same key", async () => {
    await using site = await startSite({ keys: [randomBytes(32)] });
    const device = await (await Device.at(site)).bind();
    const other = device.moveTo(site);
    other.cookies.clear();
    await other.bind("bob");
    device.cookies.set(COOKIE, other.cookies.get(COOKIE) ?? "");
    expect(await device.status("/me")).toBe(401);
  });

  test("D1: the cookie for the time until the registration is none of another session", async () => {
    await using site = await startSite();
    const device = await (await Device.at(site)).bind();
    const other = await Device.at(site);
    await other.fetch("/sign-in?user=bob");
    device.cookies.set(COOKIE, other.cookies.get(COOKIE) ?? "");
    expect(await device.status("/me")).toBe(401);
  });
});

describe("D2: a proof", () => {
  test("D2: counts once", async () => {
    await using site = await startSite();
    const device = await (await Device.at(site)).bind();
    const { challenge } = device;
    expect((await device.refresh()).status).toBe(200);
    device.challenge = challenge;
    const replayed = await device.refresh();
    expect(replayed.status).toBe(403);
    expect(replayed.headers.getSetCookie()).toEqual([]);
    expect(device.challenge).not.toBe(challenge);
  });

  test("D2: sent twenty times at once counts once", async () => {
    await using site = await startSite();
    const device = await (await Device.at(site)).bind();
    const proof = await device.prove(device.challenge ?? "");
    const headers = {
      "Sec-Secure-Session-Id": device.instructions?.session_identifier ?? "",
      "Secure-Session-Response": proof,
    };
    const send = () => device.post("/device-bound/refresh", headers);
    const statuses = (await Promise.all(Array.from({ length: 20 }, send))).map((it) => it.status);
    expect(statuses.filter((it) => it === 200)).toHaveLength(1);
    expect(statuses.filter((it) => it !== 200 && it !== 403 && it !== 503)).toEqual([]);
  });

  test("D2: of twenty registrations at once with one challenge one counts", async () => {
    await using site = await startSite();
    const device = await Device.at(site);
    await device.fetch("/sign-in");
    const rivals = await Promise.all(Array.from({ length: 20 }, () => device.thief()));
    const statuses = await Promise.all(
      rivals.map(async (it) => {
        it.offer = device.offer;
        return (await it.register()).status;
      }),
    );
    expect(statuses.filter((it) => it === 200)).toHaveLength(1);
    expect(statuses.filter((it) => it !== 200 && it !== 403 && it !== 503)).toEqual([]);
    expect(await rivals[statuses.indexOf(200)]?.status("/strict")).toBe(200);
  });

  test("D2: a re-authentication beside a refresh brings no used challenge back", async () => {
    const gate = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    await using site = await startSite({
      route: async () => {
        arrived.resolve();
        await gate.promise;
      },
    });
    const device = await (await Device.at(site)).bind();
    const beside = device.moveTo(site);
    const crossing = device.fetch("/re-authenticate");
    await arrived.promise;
    expect((await beside.refresh()).status).toBe(200);
    gate.resolve();
    expect((await crossing).headers.get("Secure-Session-Registration")).not.toBeNull();
    expect((await device.refresh()).status).toBe(403);
    expect((await device.refresh()).status).toBe(200);
  });

  test("D2: a re-authentication on the device keeps its key until another is registered", async () => {
    await using site = await startSite();
    const device = await (await Device.at(site)).bind();
    expect(await device.status("/re-authenticate")).toBe(200);
    expect(await device.status("/strict")).toBe(200);
    expect((await device.refresh()).status).toBe(200);
    const before = device.moveTo(site);
    const other = await device.thief();
    other.offer = device.offer;
    expect((await other.register()).status).toBe(200);
    expect(await other.status("/strict")).toBe(200);
    expect((await other.refresh()).status).toBe(200);
    expect(await before.status("/me")).toBe(401);
    expect(await (await before.refresh()).json()).toMatchObject({ continue: false });
  });

  test.each(["/sign-in", "/re-authenticate"])(
    "D2: who has lost the key begins without one by %s, which is excluded",
    async (path) => {
      await using site = await startSite({ scope: { exclude: [path] } });
      const device = await (await Device.at(site)).bind("ada");
      const { cookies } = device;
      cookies.delete(COOKIE);
      expect(await device.status("/me")).toBe(401);
      expect(await device.status(path)).toBe(200);
      cookies.delete(COOKIE);
      expect(await device.status("/me")).toBe(200);
      expect(await device.status("/strict")).toBe(401);
      const other = await device.thief();
      other.offer = device.offer;
      expect((await other.register()).status).toBe(200);
      expect(await other.status("/strict")).toBe(200);
      expect(await device.status("/me")).toBe(401);
    },
  );

  test("D2: a registration is offered by a sign-in, a re-authentication and nothing else", async () => {
    await using site = await startSite();
    const device = await Device.at(site);
    const offers: (string | null)[] = [];
    const paths = ["/me", "/sign-in", "/me", "/renew", "/me", "/re-authenticate", "/me"];
    for (const path of [...paths, "/sign-out", "/me"]) {
      const response = await device.fetch(path);
      offers.push(response.headers.get("Secure-Session-Registration") && path);
    }
    expect(offers.filter(Boolean)).toEqual(["/sign-in", "/re-authenticate"]);
  });

  test("D2: a key is registered once for each offer, and only in its time", async () => {
    const { clock, advance } = stoppedClock();
    await using site = await startSite({ clock });
    const device = await Device.at(site);
    expect((await device.register()).status).toBe(403);
    await device.fetch("/sign-in");
    advance(60_000);
    expect((await device.register()).status).toBe(403);
    await device.fetch("/sign-out");
    await device.bind();
    expect((await device.register()).status).toBe(403);
  });

  test("D2: a thief who copied the jar registers no key", async () => {
    await using site = await startSite();
    const device = await Device.at(site);
    await device.fetch("/sign-in");
    const thief = await device.thief();
    for (const offer of ["", "a", randomBytes(32).toString("base64url")]) {
      thief.offer = offer;
      expect((await thief.register()).status).toBe(403);
    }
    expect((await device.register()).status).toBe(200);
    thief.offer = device.offer;
    expect((await thief.register()).status).toBe(403);
    expect((await device.refresh()).status).toBe(200);
  });

  test("D2: another key refreshes nothing", async () => {
    await using site = await startSite();
    const device = await (await Device.at(site)).bind();
    const thief = await device.thief();
    Object.assign(thief, { challenge: device.challenge, instructions: device.instructions });
    const refused = await thief.refresh({ keyIn: "both" });
    expect([refused.status, refused.headers.getSetCookie()]).toEqual([401, []]);
    expect((await device.refresh()).status).toBe(200);
  });

  test("D2: a registration of one session binds no other", async () => {
    await using site = await startSite();
    const [ada, eve] = await Promise.all([Device.at(site), Device.at(site)]);
    await ada.fetch("/sign-in");
    await eve.fetch("/sign-in?user=eve");
    ada.offer = eve.offer;
    expect((await ada.register()).status).toBe(403);
    expect((await eve.register()).status).toBe(200);
  });

  test.each([
    ["headers of a browser that skipped a refresh", { "Secure-Session-Skipped": "quota_exceeded" }],
    ["a session id of the protocol", { "Sec-Secure-Session-Id": "none" }],
    ["a proof", { "Secure-Session-Response": "a.b.c" }],
    ["headers of a proxy", { "X-Forwarded-Proto": "http", Forwarded: "proto=http" }],
    ["no user agent that knows DBSC", { "User-Agent": "curl/8" }],
  ])(
    "D2: the record says that a session is bound, and no request with %s changes it",
    async (_name, headers) => {
      await using site = await startSite();
      const device = await (await Device.at(site)).bind();
      device.cookies.delete(COOKIE);
      expect(await device.status("/me", { headers })).toBe(401);
    },
  );

  test("D2: a record that can't be read is refused, and never taken for one that isn't bound", async () => {
    const store = memoryStore();
    await using site = await startSite({ store });
    const device = await (await Device.at(site)).bind();
    const [{ publicId } = { publicId: "" }] = await site.sessions.list({ user: "ada" });
    const { load } = store;
    store.load = (key) => {
      const loaded = load.call(store, key);
      if (loaded.status === "live" && loaded.record.publicId === publicId) {
        const values = new Map(loaded.record.values).set("bound:device", '{"key":{"kty":"EC"}}');
        return { ...loaded, record: { ...loaded.record, values } };
      }
      return loaded;
    };
    expect(await device.status("/me")).toBe(401);
    expect(await (await device.refresh()).json()).toMatchObject({ continue: false });
  });
});

describe("D3: refreshes that cross", () => {
  test("D3: several bound cookies are valid at once", async () => {
    await using site = await startSite();
    const device = await (await Device.at(site)).bind();
    const cookies = [device.cookies.get(COOKIE)];
    for (let i = 0; i < 4; i++) {
      await device.refresh();
      cookies.push(device.cookies.get(COOKIE));
    }
    for (const cookie of cookies) {
      device.cookies.set(COOKIE, cookie ?? "");
      expect(await device.status("/me")).toBe(200);
    }
  });

  test("D3: a request that crosses the registration passes", async () => {
    await using site = await startSite();
    const device = await Device.at(site);
    await device.fetch("/sign-in");
    const crossing = await device.thief();
    await device.register();
    expect(await crossing.status("/me")).toBe(200);
  });

  test("D3: a thief who asks for challenges can neither push out the browser's nor block it", async () => {
    await using site = await startSite();
    const device = await (await Device.at(site)).bind();
    const thief = await device.thief();
    const headers = { "Sec-Secure-Session-Id": device.instructions?.session_identifier ?? "" };
    const seen = new Set<string | undefined>();
    for (let i = 0; i < 30; i++) {
      expect((await thief.post("/device-bound/refresh", headers)).status).toBe(403);
      seen.add(thief.challenge);
    }
    // Eight with the one that the browser has.
    expect(seen.size).toBe(7);
    expect((await device.refresh()).status).toBe(200);
    expect((await device.refresh()).status).toBe(200);
    device.challenge = undefined;
    expect((await device.refresh()).status).toBe(403);
    expect((await device.refresh()).status).toBe(200);
  });

  test("D3: proofs that are refused use up nothing", async () => {
    await using site = await startSite();
    const device = await (await Device.at(site)).bind();
    const thief = await device.thief();
    Object.assign(thief, { challenge: device.challenge, instructions: device.instructions });
    for (let i = 0; i < 10; i++) expect((await thief.refresh()).status).toBe(401);
    expect((await device.refresh()).status).toBe(200);
  });

  test("D3: eight refreshes at once, each with its own challenge, all count", async () => {
    await using site = await startSite();
    const device = await (await Device.at(site)).bind();
    const headers = { "Sec-Secure-Session-Id": device.instructions?.session_identifier ?? "" };
    const challenges = [device.challenge];
    for (let i = 0; i < 7; i++) {
      await device.post("/device-bound/refresh", headers);
      challenges.push(device.challenge);
    }
    expect(new Set(challenges).size).toBe(8);
    const statuses = await Promise.all(
      challenges.map(async (challenge) => {
        const proof = await device.prove(challenge ?? "");
        const all = { ...headers, "Secure-Session-Response": proof };
        return (await device.post("/device-bound/refresh", all)).status;
      }),
    );
    expect(statuses).toEqual(challenges.map(() => 200));
  });

  test("D3: a refresh that crosses a renewal is asked for again, and ends nothing", async () => {
    await using site = await startSite();
    const device = await (await Device.at(site)).bind();
    const late = device.moveTo(site);
    await device.fetch("/renew");
    const answer = await late.refresh();
    expect(answer.status).toBe(503);
    device.challenge = late.challenge;
    expect((await device.refresh()).status).toBe(200);
    expect(await device.status("/me")).toBe(200);
  });

  test("D3: a reply that was lost costs a refresh one more request", async () => {
    await using site = await startSite();
    const device = await (await Device.at(site)).bind();
    const before = device.moveTo(site);
    await device.refresh();
    expect((await before.refresh()).status).toBe(403);
    expect((await before.refresh()).status).toBe(200);
    expect(await before.status("/strict")).toBe(200);
  });

  test("D3: a restart between challenge and proof, and another process, change nothing", async () => {
    const store = memoryStore();
    const keys = [randomBytes(32)];
    await using first = await startSite({ store, keys });
    const device = await (await Device.at(first)).bind();
    device.challenge = undefined;
    expect((await device.refresh()).status).toBe(403);
    await using second = await startSite({ store, keys });
    const moved = device.moveTo(second);
    expect((await moved.refresh()).status).toBe(200);
    expect(await moved.status("/strict")).toBe(200);
    device.cookies.set(COOKIE, moved.cookies.get(COOKIE) ?? "");
    expect(await device.status("/strict")).toBe(200);
  });
});
