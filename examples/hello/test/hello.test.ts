import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import Koa from "koa";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Shell, transcript } from "../../transcript.ts";

let server: Server;
let port: unknown;
let url: string;

// The program as it is, but on a free port.
beforeAll(async () => {
  const { listen } = Koa.prototype;
  vi.spyOn(Koa.prototype, "listen").mockImplementation(function (this: Koa, wanted) {
    port = wanted;
    server = listen.call(this, 0);
    return server;
  });
  await import("../src/main.ts");
  await once(server, "listening");
  url = `http://localhost:${(server.address() as AddressInfo).port}`;
});

afterAll(() => {
  vi.restoreAllMocks();
  server.close();
  server.closeAllConnections();
});

test("the program listens on port 3000", () => {
  expect(port).toBe(3000);
});

test("the program counts each visitor's visits", async () => {
  const first = await fetch(url);
  expect(await first.text()).toBe("Visit 1\n");
  const cookie = first.headers.getSetCookie()[0]?.split(";")[0] ?? "";
  expect(cookie).toMatch(/^sid=/);

  const second = await fetch(url, { headers: { cookie } });
  expect(await second.text()).toBe("Visit 2\n");
  expect(second.headers.getSetCookie()).toEqual([]);

  expect(await (await fetch(url)).text()).toBe("Visit 1\n");
});

test.each(["../README.md", "../../../README.md"])(
  "the commands in %s print what it says",
  async (readme) => {
    const shell = new Shell("http://localhost:3000", url);
    const steps = transcript(new URL(readme, import.meta.url));
    expect(steps.length).toBeGreaterThan(0);
    for (const { command, output } of steps) {
      expect(await shell.run(command), command).toBe(output);
    }
  },
);
