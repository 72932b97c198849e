import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createSessions, type MemoryStore, memoryStore, type Store } from "@lanai/session";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { Shell, transcript } from "../../transcript.ts";
import { porch } from "../src/app.ts";
import { Browser } from "./browser.ts";

let now: number;
let store: MemoryStore;
let url: string;
let browser: Browser;

beforeEach(async () => {
  now = Date.parse("2030-01-01T12:00:00Z");
  store = memoryStore({ clock: () => now });
  const server = porch(createSessions({ store })).listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  browser = new Browser(url);
  return () => {
    server.close();
    server.closeAllConnections();
  };
});

const NOTICE = 'role="status"';

const expectRedirect = (response: Response, status: number, location: string) => {
  expect(response.status).toBe(status);
  expect(response.headers.get("location")).toBe(location);
};

const publicIdOf = async (whose: Browser): Promise<string> => {
  const me = (await (await whose.get("/me")).json()) as { publicId: string };
  return me.publicId;
};

describe("a stranger", () => {
  test("reads the first page without a session", async () => {
    expect(await browser.page("/")).toContain("Come up and sit down");
    expect(browser.cookies.size).toBe(0);
    expect(store.size).toBe(0);
  });

  test.each(["/home", "/devices"])("is sent from %s to sign in, told why once", async (path) => {
    expectRedirect(await browser.get(path), 302, "/sign-in");
    const page = await browser.get("/sign-in");
    expect(await page.text()).toContain("Please log in first");
    expect(page.headers.get("cache-control")).toBe("no-store");
    expect(await browser.page("/sign-in")).not.toContain(NOTICE);
  });

  test("is told why by one of two tabs, and by none that only looks ahead", async () => {
    await browser.get("/home");
    const prefetch = { headers: { "Sec-Purpose": "prefetch" } };
    expect(await (await browser.request("/sign-in", prefetch)).text()).not.toContain(NOTICE);
    const tabs = await Promise.all([1, 2].map(() => browser.page("/sign-in")));
    expect(tabs.filter((page) => page.includes("Please log in first"))).toHaveLength(1);
  });

  test("is refused by a route's own middleware with a 401", async () => {
    const response = await browser.get("/me");
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toContain("ERR_SESSION_REQUIRED");
    expect(store.size).toBe(0);
  });

  test.each([
    { name: "ada", password: "wrong" },
    { name: " ", password: "aloha" },
    { name: "a".repeat(41), password: "aloha" },
    {},
  ])("with the wrong credentials sees the form again, and no session is written", async (form) => {
    const response = await browser.post("/sign-in", { ...form } as Record<string, string>);
    expect(response.status).toBe(422);
    const page = await response.text();
    expect(page).toContain("Invalid credentials");
    expect(page).toContain(`value="${(form.name ?? "").trim()}"`);
    expect(browser.cookies.size).toBe(0);
    expect(store.size).toBe(0);
  });
});

describe("a visitor who signs in", () => {
  test("is recognised on every page", async () => {
    expectRedirect(await browser.signIn("ada"), 303, "/home");
    for (const path of ["/", "/home", "/devices", "/no-such-page"]) {
      expect(await browser.page(path), path).toContain('<span class="user">ada</span>');
    }
    expectRedirect(await browser.get("/sign-in"), 302, "/home");
  });

  test("gets a new id, and the old one opens nothing", async () => {
    await browser.get("/home");
    const before = browser.clone();
    await browser.signIn("ada");
    expect(browser.cookies.get("sid")).not.toBe(before.cookies.get("sid"));
    expectRedirect(await before.get("/home"), 302, "/sign-in");
  });

  test("has every visit counted, also those at the same moment", async () => {
    await browser.signIn("ada");
    expect(await browser.page("/home")).toContain('<strong class="count">1</strong> time since');
    const load = store.load.bind(store);
    const all = Promise.withResolvers<void>();
    let loaded = 0;
    // Nobody goes on before all have seen the same count.
    const together: Store["load"] = async (key) => {
      const found = load(key);
      loaded++;
      if (loaded === 8) all.resolve();
      await all.promise;
      return found;
    };
    Object.assign(store, { load: together });
    await Promise.all(Array.from({ length: 8 }, () => browser.get("/home")));
    expect(await browser.page("/home")).toContain('<strong class="count">10</strong> times since');
  });

  test("sees the facts of the session, and never its id", async () => {
    await browser.signIn("ada");
    const page = await browser.page("/home");
    expect(page).toContain(await publicIdOf(browser));
    expect(page).toContain("1 Jan 2030, 12:00 UTC");
    const id = browser.cookies.get("sid") ?? "";
    expect(id).toHaveLength(43);
    for (const path of ["/home", "/devices", "/me"]) {
      expect(await browser.page(path), path).not.toContain(id);
    }
  });

  test("is forgotten after half an hour away", async () => {
    await browser.signIn("ada");
    now += 31 * 60_000;
    expectRedirect(await browser.get("/home"), 302, "/sign-in");
  });

  test("and stays signed in is known for 30 days, also after the browser was closed", async () => {
    const response = await browser.signIn("ada", { stay: "yes" });
    expect(response.headers.getSetCookie()[0]).toContain("Max-Age=2592000");
    now += 29 * 24 * 60 * 60_000;
    expect((await browser.get("/home")).status).toBe(200);
    now += 31 * 24 * 60 * 60_000;
    expect((await browser.get("/home")).status).toBe(302);
  });

  test("has pages that no cache keeps", async () => {
    await browser.signIn("ada");
    const { headers } = await browser.get("/home");
    expect(headers.get("cache-control")).toBe("no-store");
  });
});

describe("a sign-out", () => {
  test("is final, also for a copy of the cookie", async () => {
    await browser.signIn("ada");
    const thief = browser.clone();
    expectRedirect(await browser.post("/sign-out"), 303, "/sign-in");

    expect(await browser.page("/sign-in")).toContain("You are signed out");
    expect(await browser.page("/sign-in")).not.toContain(NOTICE);
    expectRedirect(await browser.get("/home"), 302, "/sign-in");
    expectRedirect(await thief.get("/home"), 302, "/sign-in");
    expect((await thief.get("/me")).status).toBe(401);
  });

  test("is not a link: a GET is answered with 405", async () => {
    await browser.signIn("ada");
    expect((await browser.get("/sign-out")).status).toBe(405);
    expect((await browser.get("/me")).status).toBe(200);
  });

  test("leaves nothing for the next user of the browser", async () => {
    await browser.signIn("ada");
    await browser.get("/home");
    await browser.post("/sign-out");
    await browser.signIn("bob");
    const page = await browser.page("/home");
    expect(page).not.toContain("ada");
    expect(page).toContain('<strong class="count">1</strong>');
  });
});

describe("the list of devices", () => {
  test("shows the user's sessions, and nobody else's", async () => {
    const [phone, other] = [new Browser(url), new Browser(url)];
    await browser.signIn("ada");
    await phone.signIn("ada");
    await other.signIn("bob");

    const page = await browser.page("/devices");
    expect(page.match(/This browser/g)).toHaveLength(1);
    expect(page.match(/Another browser/g)).toHaveLength(1);
    expect(page).toContain(`value="${await publicIdOf(phone)}"`);
    expect(page).not.toContain(await publicIdOf(other));
  });

  test("ends one other session", async () => {
    const phone = new Browser(url);
    await browser.signIn("ada");
    await phone.signIn("ada");
    const session = await publicIdOf(phone);

    expectRedirect(await browser.post("/devices/end", { session }), 303, "/devices");
    expect(await browser.page("/devices")).toContain("That session is signed out");
    expectRedirect(await phone.get("/home"), 302, "/sign-in");

    await browser.post("/devices/end", { session });
    expect(await browser.page("/devices")).toContain("That session had ended");
  });

  test("ends no session of another user", async () => {
    const other = new Browser(url);
    await browser.signIn("ada");
    await other.signIn("bob");
    await browser.post("/devices/end", { session: await publicIdOf(other) });
    expect(await browser.page("/devices")).toContain("That session had ended");
    expect((await other.get("/home")).status).toBe(200);
  });

  test("ends all sessions but this one", async () => {
    const others = [new Browser(url), new Browser(url)];
    await browser.signIn("ada");
    for (const other of others) await other.signIn("ada");

    expectRedirect(await browser.post("/devices/end-others"), 303, "/devices");
    expect(await browser.page("/devices")).toContain("Signed out elsewhere: 2");
    for (const other of others) expect((await other.get("/home")).status).toBe(302);
  });
});

describe("what comes from outside", () => {
  test("is escaped wherever it is shown", async () => {
    const name = `<b>"&'</b>`;
    const escaped = "&#60;b&#62;&#34;&#38;&#39;&#60;/b&#62;";
    const again = await browser.post("/sign-in", { name, password: "wrong" });
    expect(await again.text()).toContain(`value="${escaped}"`);
    await browser.signIn(name);
    for (const path of ["/", "/home", "/devices"]) {
      const page = await browser.page(path);
      expect(page, path).toContain(escaped);
      expect(page, path).not.toContain("<b>");
    }
  });

  test.each([
    { "Sec-Fetch-Site": "cross-site" },
    { "Sec-Fetch-Site": "same-site" },
    { Origin: "https://elsewhere.example" },
    { Origin: "null" },
  ])("is refused if another site posts it: %o", async (headers) => {
    await browser.signIn("ada");
    const response = await browser.request("/sign-out", {
      method: "POST",
      headers: headers as Record<string, string>,
    });
    expect(response.status).toBe(403);
    expect((await browser.get("/me")).status).toBe(200);
  });

  test("is accepted if a page of this site posts it, or no browser", async () => {
    for (const headers of [{ "Sec-Fetch-Site": "same-origin" }, { Origin: url }, {}]) {
      const response = await browser.request("/sign-out", {
        method: "POST",
        headers: headers as Record<string, string>,
      });
      expect(response.status).toBe(303);
    }
  });

  test("is refused if it is no form, or too long a one", async () => {
    const json = { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" };
    expect((await browser.request("/sign-in", json)).status).toBe(415);
    expect((await browser.signIn("a".repeat(9_000))).status).toBe(413);
  });
});

test("every page forbids scripts, frames and what is from elsewhere", async () => {
  for (const path of ["/", "/sign-in", "/no-such-page", "/style.css"]) {
    const policy = (await browser.get(path)).headers.get("content-security-policy");
    expect(policy, path).toContain("default-src 'none'");
    expect(policy, path).toContain("frame-ancestors 'none'");
    expect(policy, path).not.toContain("unsafe");
  }
});

test("the stylesheet and the icon are there, and cost no look at the store", async () => {
  await browser.signIn("ada");
  store.load = () => {
    throw new Error("the store was asked");
  };
  const style = await browser.get("/style.css");
  expect(style.headers.get("content-type")).toBe("text/css; charset=utf-8");
  expect(await style.text()).toContain("prefers-color-scheme: dark");
  const icon = await browser.get("/favicon.svg");
  expect(icon.headers.get("content-type")).toBe("image/svg+xml");
});

test("an unknown address is a 404 with a page", async () => {
  const response = await browser.get("/no-such-page");
  expect(response.status).toBe(404);
  expect(await response.text()).toContain("There is no page at this address");
});

test("the README's commands print what it says", async () => {
  const shell = new Shell("http://localhost:3000", url);
  const steps = transcript(new URL("../README.md", import.meta.url));
  expect(steps.length).toBeGreaterThan(0);
  for (const { command, output } of steps) {
    expect(mask(await shell.run(command)), command).toBe(mask(output));
  }
});

/** What is another one each time: ids, public ids and instants. */
const mask = (text: string): string =>
  text
    .replaceAll(/\bsid=[\w-]{43}/g, "sid=<id>")
    .replaceAll(/"publicId":"[\w-]{22}"/g, '"publicId":"<public id>"')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<instant>")
    .replaceAll(/^Date: .*$/gm, "Date: <date>");

describe("the program", () => {
  let file: string;

  beforeEach(() => {
    const folder = mkdtempSync(join(tmpdir(), "lanai-porch-"));
    // In a folder that isn't there yet, as after a fresh checkout.
    file = join(folder, "data", "sessions.db");
    return () => rmSync(folder, { recursive: true, force: true });
  });

  const run = (port: string) => {
    const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));
    const child = spawn(process.execPath, ["--conditions=@lanai/source", main], {
      env: { ...process.env, PORT: port, SESSIONS: file },
    });
    onTestFinished(() => void child.kill());
    return child;
  };

  const addressOf = async ({ stdout }: ReturnType<typeof run>): Promise<string> => {
    const [line] = await once(createInterface(stdout), "line");
    return /http:\/\/localhost:\d+$/.exec(line)?.[0] ?? "";
  };

  test("says where it listens", async () => {
    const address = await addressOf(run("0"));
    expect(await new Browser(address).page("/")).toContain("Come up and sit down");
  });

  test("keeps who is signed in through a restart, also one without a goodbye", async () => {
    const first = run("0");
    const before = new Browser(await addressOf(first));
    await before.signIn("ada");
    expect(await before.page("/home")).toContain('<strong class="count">1</strong>');
    first.kill("SIGKILL");
    await once(first, "exit");

    const after = before.clone(await addressOf(run("0")));
    expect(await after.page("/home")).toContain('<strong class="count">2</strong>');
    expect(await after.page("/devices")).toContain("This browser");
    expectRedirect(await after.post("/sign-out"), 303, "/sign-in");
  });

  test("says what to do if the port is taken", async () => {
    const [port = ""] = /\d+$/.exec(await addressOf(run("0"))) ?? [];
    const second = run(port);
    const [complaint] = await once(createInterface(second.stderr), "line");
    expect(complaint).toBe(`Port ${port} is taken. Choose another one: PORT=3001 npm start`);
    const [code] = await once(second, "exit");
    expect(code).toBe(1);
  });
});
