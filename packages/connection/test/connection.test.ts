import { once } from "node:events";
import { Agent, type IncomingMessage, request, ServerResponse } from "node:http";
import { type ClientHttp2Session, connect as connectHttp2, createServer } from "node:http2";
import { type AddressInfo, connect, type Socket } from "node:net";
import { buffer, text } from "node:stream/consumers";
import {
  beforeHead,
  connectionSignal,
  followSocket,
  headLeft,
  keepHeaders,
  leaveHead,
} from "@lanai/connection";
import type Koa from "koa";
import type { ExtendableContext } from "koa";
import { describe, expect, test } from "vitest";
import { serve } from "../../session/test/http.ts";
import { koaVersions } from "../../session/test/koa-versions.ts";

type Handler = (ctx: Koa.Context) => unknown;

interface Answer {
  readonly status: number;
  readonly reason: string;
  readonly headers: Headers;
  readonly cookies: readonly string[];
  readonly body: string;
}

/** What a handler answers to one real request. */
async function answerOf(App: typeof Koa, handler: Handler, init?: RequestInit): Promise<Answer> {
  await using served = await serve(appOf(App, handler));
  const response = await fetch(served.url, init);
  return {
    status: response.status,
    reason: response.statusText,
    headers: response.headers,
    cookies: response.headers.getSetCookie(),
    body: await response.text(),
  };
}

function appOf(App: typeof Koa, handler: Handler): Koa {
  const app = new App();
  app.silent = true;
  app.use(async (ctx) => {
    await handler(ctx);
  });
  return app;
}

/** Runs `use` with a client of an HTTP/2 server (h2c) that runs the app. */
async function overHttp2(app: Koa, use: (client: ClientHttp2Session) => Promise<void>) {
  const callback = app.callback();
  const server = createServer((req, res) => void callback(req as never, res as never));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const client = connectHttp2(`http://127.0.0.1:${port}`);
  try {
    await use(client);
  } finally {
    client.destroy();
    server.close();
  }
}

async function http2Answer(client: ClientHttp2Session, headers: Record<string, string> = {}) {
  const stream = client.request({ ":path": "/", ...headers });
  const [[head], body] = await Promise.all([once(stream, "response"), text(stream)]);
  return { head: head as Record<string, unknown>, body };
}

const keepCookie = (ctx: Koa.Context, line: string): Promise<void> =>
  keepHeaders(ctx, () => ctx.append("Set-Cookie", line));

const aborted = async (signal: AbortSignal): Promise<true> => {
  if (!signal.aborted) await once(signal, "abort");
  return true;
};

describe.each(koaVersions)("%s", (_version, App) => {
  describe("beforeHead", () => {
    test("what was registered runs once, by leave, by leaveHead, or by both", async () => {
      const runs: string[] = [];
      await answerOf(App, async (ctx) => {
        const leave = beforeHead(ctx, () => void runs.push("a"));
        beforeHead(ctx, () => void runs.push("b"));
        await leave();
        await leave();
        await leaveHead(ctx);
        await leaveHead(ctx);
        await leave();
      });
      expect(runs).toEqual(["a", "b"]);
    });

    test("leaveHead waits for what is under way", async () => {
      const runs: string[] = [];
      await answerOf(App, async (ctx) => {
        const { promise, resolve } = Promise.withResolvers<void>();
        const leave = beforeHead(ctx, async () => {
          await promise;
          runs.push("saved");
        });
        const leaving = leave();
        const left = leaveHead(ctx).then(() => runs.push("left"));
        resolve();
        await Promise.all([leaving, left]);
      });
      expect(runs).toEqual(["saved", "left"]);
    });

    test("leaveHead runs all in the order of their registration, one after the other", async () => {
      const runs: string[] = [];
      await answerOf(App, async (ctx) => {
        for (const name of ["a", "b", "c"]) {
          beforeHead(ctx, async () => {
            runs.push(`${name} begins`);
            await new Promise(setImmediate);
            runs.push(`${name} ends`);
          });
        }
        await leaveHead(ctx);
      });
      expect(runs).toEqual(["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]);
    });

    test("what is registered while the head leaves runs too", async () => {
      const runs: string[] = [];
      await answerOf(App, async (ctx) => {
        beforeHead(ctx, () => {
          runs.push("a");
          beforeHead(ctx, () => void runs.push("b"));
        });
        await leaveHead(ctx);
      });
      expect(runs).toEqual(["a", "b"]);
    });

    test("after a failure the others run, the first failure is thrown, and the head has not left", async () => {
      const seen: unknown[] = [];
      await answerOf(App, async (ctx) => {
        beforeHead(ctx, () => {
          throw new Error("first");
        });
        beforeHead(ctx, () => Promise.reject(new Error("second")));
        beforeHead(ctx, () => void seen.push("third runs"));
        await leaveHead(ctx).catch((error: Error) => seen.push(error.message));
        seen.push(headLeft(ctx));
      });
      expect(seen).toEqual(["third runs", "first", false]);
    });

    test("a second leave has the outcome of the first", async () => {
      const outcomes: unknown[] = [];
      await answerOf(App, async (ctx) => {
        const leave = beforeHead(ctx, () => {
          throw new Error("failed");
        });
        const both = await Promise.allSettled([leave(), leave()]);
        outcomes.push(...both.map((it) => it.status === "rejected" && it.reason.message));
      });
      expect(outcomes).toEqual(["failed", "failed"]);
    });

    test("two requests have nothing in common", async () => {
      const runs: string[] = [];
      await using served = await serve(
        appOf(App, async (ctx) => {
          const { path } = ctx;
          beforeHead(ctx, () => void runs.push(path));
          if (path === "/a") await leaveHead(ctx);
        }),
      );
      await fetch(`${served.url}/b`);
      await fetch(`${served.url}/a`);
      expect(runs).toEqual(["/a"]);
    });
  });

  describe("headLeft", () => {
    test("is true from leaveHead on", async () => {
      const seen: boolean[] = [];
      await answerOf(App, async (ctx) => {
        seen.push(headLeft(ctx));
        await leaveHead(ctx);
        seen.push(headLeft(ctx));
      });
      expect(seen).toEqual([false, true]);
    });

    test("is true once the response has sent it", async () => {
      const seen: boolean[] = [];
      await answerOf(App, (ctx) => {
        seen.push(headLeft(ctx));
        ctx.res.flushHeaders();
        seen.push(headLeft(ctx));
      });
      expect(seen).toEqual([false, true]);
    });
  });

  describe("keepHeaders", () => {
    test("a header and a cookie that were kept outlive an error; the app's are Koa's to remove", async () => {
      const answer = await answerOf(App, async (ctx) => {
        ctx.set("X-App", "1");
        ctx.append("Set-Cookie", "app=1");
        await keepHeaders(ctx, async () => {
          await Promise.resolve();
          ctx.set("X-Kept", "yes");
          ctx.append("Set-Cookie", "kept=1");
        });
        ctx.throw(403, "no");
      });
      expect([answer.status, answer.body]).toEqual([403, "no"]);
      expect(answer.headers.get("X-Kept")).toBe("yes");
      expect(answer.cookies).toEqual(["kept=1"]);
      expect(answer.headers.has("X-App")).toBe(false);
    });

    test.each([
      ["a string", "text"],
      ["an object", { message: "no error" }],
    ])("what was thrown may be %s", async (_what, thrown) => {
      const answer = await answerOf(App, async (ctx) => {
        await keepCookie(ctx, "kept=1");
        throw thrown;
      });
      expect(answer.cookies).toEqual(["kept=1"]);
    });

    test("one error thrown for two visitors carries nothing from one to the other", async () => {
      const error = Object.assign(new Error("shared"), {
        status: 403,
        headers: { "X-Error": "1" },
      });
      await using served = await serve(
        appOf(App, async (ctx) => {
          if (ctx.path === "/a") await keepCookie(ctx, "visitor=a");
          throw error;
        }),
      );
      const first = await fetch(`${served.url}/a`);
      const second = await fetch(`${served.url}/b`);
      expect(first.headers.getSetCookie()).toEqual(["visitor=a"]);
      expect(second.headers.getSetCookie()).toEqual([]);
      expect(second.headers.get("X-Error")).toBe("1");
      expect(error.headers).toEqual({ "X-Error": "1" });
    });

    test("cookies of the error stay beside those kept, and its headers win", async () => {
      const answer = await answerOf(App, async (ctx) => {
        await keepHeaders(ctx, () => {
          ctx.append("Set-Cookie", "kept=1");
          ctx.set("X-Kept", "kept");
        });
        throw Object.assign(new Error("no"), {
          status: 400,
          headers: { "Set-Cookie": ["theirs=1", "theirs=2"], "X-Kept": "theirs" },
        });
      });
      expect(answer.cookies).toEqual(["theirs=1", "theirs=2", "kept=1"]);
      expect(answer.headers.get("X-Kept")).toBe("theirs");
    });

    test.each([
      ["Origin", "Origin, Cookie, Accept"],
      ["origin,COOKIE", "origin, COOKIE, Accept"],
      ["*", "*"],
    ])("an error's Vary %s is joined with the one kept: %s", async (own, joined) => {
      const answer = await answerOf(App, async (ctx) => {
        await keepHeaders(ctx, () => ctx.set("Vary", "Cookie, Accept"));
        ctx.throw(403, { headers: { Vary: own } });
      });
      expect(answer.headers.get("Vary")).toBe(joined);
    });

    test("without an error nothing is doubled", async () => {
      const answer = await answerOf(App, async (ctx) => {
        ctx.append("Set-Cookie", "app=1");
        await keepCookie(ctx, "kept=1");
        await keepHeaders(ctx, () => ctx.vary("Cookie"));
        ctx.append("Set-Cookie", "app=2");
        ctx.body = "ok";
      });
      expect(answer.cookies).toEqual(["app=1", "kept=1", "app=2"]);
      expect(answer.headers.get("Vary")).toBe("Cookie");
    });

    test.each([
      ["ctx.cookies", (ctx: Koa.Context) => void ctx.cookies.set("kept", "1")],
      ["res.appendHeader", (ctx: Koa.Context) => void ctx.res.appendHeader("Set-Cookie", "kept=1")],
    ])("a cookie that %s adds in place beside the app's is kept", async (_name, write) => {
      const answer = await answerOf(App, async (ctx) => {
        ctx.set("Set-Cookie", ["app=1", "app=2"]);
        await keepHeaders(ctx, () => write(ctx));
        ctx.throw(403);
      });
      expect(answer.cookies).toEqual([expect.stringMatching(/^kept=1(; |$)/)]);
    });

    test("kept twice, both are there; a cookie that the second replaced or removed is not", async () => {
      const answer = await answerOf(App, async (ctx) => {
        await keepHeaders(ctx, () => {
          ctx.set("Set-Cookie", ["a=1", "b=1", "c=1"]);
          ctx.set("X-First", "1");
          ctx.set("X-Removed", "1");
        });
        await keepHeaders(ctx, () => {
          ctx.set("Set-Cookie", ["a=2", "c=1", "d=1"]);
          ctx.set("X-Second", "2");
          ctx.remove("X-Removed");
        });
        ctx.throw(500);
      });
      expect(answer.cookies.toSorted()).toEqual(["a=2", "c=1", "d=1"]);
      expect(answer.headers.get("X-First")).toBe("1");
      expect(answer.headers.get("X-Second")).toBe("2");
      expect(answer.headers.has("X-Removed")).toBe(false);
    });

    test("the only cookie, removed again, is not sent", async () => {
      const answer = await answerOf(App, async (ctx) => {
        await keepCookie(ctx, "kept=1");
        await keepHeaders(ctx, () => ctx.remove("Set-Cookie"));
        ctx.throw(500);
      });
      expect(answer.headers.has("Set-Cookie")).toBe(false);
    });

    test("what a failed write set is not kept, and the failure is the caller's", async () => {
      const answer = await answerOf(App, (ctx) =>
        keepHeaders(ctx, () => {
          ctx.set("X-Half", "1");
          throw Object.assign(new Error("write failed"), { status: 409, expose: true });
        }),
      );
      expect([answer.status, answer.body]).toEqual([409, "write failed"]);
      expect(answer.headers.has("X-Half")).toBe(false);
    });

    test("once the head has left there is nothing to keep, and nothing fails", async () => {
      const answer = await answerOf(App, async (ctx) => {
        ctx.respond = false;
        await keepHeaders(ctx, () => {
          ctx.res.writeHead(200);
        });
        ctx.res.end("sent");
      });
      expect([answer.status, answer.body]).toEqual([200, "sent"]);
    });

    describe("writeHead", () => {
      type Heads = [status: number, ...rest: unknown[]];
      test.each<[string, Heads]>([
        [
          "an object",
          [201, { "X-None": undefined, "X-Head": "1", "Set-Cookie": ["head=1", "head=2"] }],
        ],
        [
          "a reason and an object",
          [201, "Made", { "X-Head": "1", "Set-Cookie": ["head=1", "head=2"] }],
        ],
        ["a flat list", [201, ["X-Head", "1", "Set-Cookie", "head=1", "set-cookie", "head=2"]]],
        ["a flat list with an array", [201, ["Set-Cookie", ["head=1", "head=2"], "X-Head", "1"]]],
        [
          "pairs",
          [
            201,
            [
              ["X-Head", "1"],
              ["Set-Cookie", "head=1"],
              ["Set-Cookie", "head=2"],
            ],
          ],
        ],
        [
          "pairs with an array",
          [
            201,
            [
              ["Set-Cookie", ["head=1", "head=2"]],
              ["X-Head", "1"],
            ],
          ],
        ],
        ["a reason and a list", [201, "Made", ["X-Head", "1", "Set-Cookie", ["head=1", "head=2"]]]],
      ])("%s: what it gives and what was kept are both sent", async (_what, head) => {
        const answer = await answerOf(App, async (ctx) => {
          ctx.respond = false;
          await keepHeaders(ctx, () => {
            ctx.append("Set-Cookie", "kept=1");
            ctx.set("X-Kept", "1");
          });
          const write = ctx.res.writeHead as (...args: Heads) => ServerResponse;
          write.apply(ctx.res, head).end();
        });
        expect([answer.status, answer.reason]).toEqual([
          201,
          head[1] === "Made" ? "Made" : "Created",
        ]);
        expect(answer.headers.get("X-Head")).toBe("1");
        expect(answer.headers.get("X-Kept")).toBe("1");
        expect(answer.cookies.toSorted()).toEqual(["head=1", "head=2", "kept=1"]);
      });

      test("a status, or a status and a reason, is enough; undefined headers are none", async () => {
        for (const args of [
          [202],
          [202, "Fine"],
          [202, undefined],
          [202, undefined, { "X-Head": "1" }],
        ]) {
          const answer = await answerOf(App, async (ctx) => {
            ctx.respond = false;
            await keepCookie(ctx, "kept=1");
            const write = ctx.res.writeHead as (...args: unknown[]) => ServerResponse;
            write.apply(ctx.res, args).end();
          });
          expect(answer.status).toBe(202);
          expect(answer.reason).toBe(args[1] ?? "Accepted");
          expect(answer.headers.get("X-Head")).toBe(args[2] ? "1" : null);
          expect(answer.cookies).toEqual(["kept=1"]);
        }
      });
    });

    test("flushHeaders sends what was kept", async () => {
      const answer = await answerOf(App, async (ctx) => {
        ctx.respond = false;
        await keepCookie(ctx, "kept=1");
        ctx.remove("Set-Cookie");
        ctx.res.flushHeaders();
        ctx.res.end();
      });
      expect(answer.cookies).toEqual(["kept=1"]);
    });

    test("over HTTP/2 what was kept outlives an error", async () => {
      const app = appOf(App, async (ctx) => {
        await keepHeaders(ctx, () => {
          ctx.append("Set-Cookie", "kept=1");
          ctx.set("X-Kept", "1");
        });
        ctx.throw(403, "no");
      });
      await overHttp2(app, async (client) => {
        const { head, body } = await http2Answer(client);
        expect(head).toMatchObject({ ":status": 403, "x-kept": "1", "set-cookie": ["kept=1"] });
        expect(body).toBe("no");
      });
    });

    test("over HTTP/2 an answer without a body sends what was kept and then removed", async () => {
      const app = appOf(App, async (ctx) => {
        await keepCookie(ctx, "kept=1");
        ctx.remove("Set-Cookie");
        ctx.status = 204;
      });
      await overHttp2(app, async (client) => {
        const { head } = await http2Answer(client);
        expect(head).toMatchObject({ ":status": 204, "set-cookie": ["kept=1"] });
      });
    });

    test("over HTTP/2 the headers of writeHead are sent beside what was kept", async () => {
      const app = appOf(App, async (ctx) => {
        ctx.respond = false;
        await keepCookie(ctx, "kept=1");
        ctx.res.writeHead(201, { "X-Head": "1", "Set-Cookie": "head=1" }).end("made");
      });
      await overHttp2(app, async (client) => {
        const { head, body } = await http2Answer(client);
        expect(head).toMatchObject({ ":status": 201, "x-head": "1" });
        expect(head["set-cookie"]).toEqual(["head=1", "kept=1"]);
        expect(body).toBe("made");
      });
    });
  });

  describe("connectionSignal", () => {
    test("is one signal per request, and aborts when the response has ended", async () => {
      const { promise, resolve } = Promise.withResolvers<AbortSignal>();
      const seen: boolean[] = [];
      await answerOf(App, (ctx) => {
        const signal = connectionSignal(ctx);
        seen.push(signal.aborted, connectionSignal(ctx) === signal);
        ctx.body = "ok";
        resolve(signal);
      });
      expect(seen).toEqual([false, true]);
      expect(await aborted(await promise)).toBe(true);
    });

    test("aborts when the client leaves in the middle of the response", async () => {
      const { promise, resolve } = Promise.withResolvers<AbortSignal>();
      await using served = await serve(
        appOf(App, (ctx) => {
          resolve(connectionSignal(ctx));
          ctx.respond = false;
          ctx.res.write("the beginning");
        }),
      );
      const client = request(served.url).end();
      client.on("error", () => {});
      const [response] = (await once(client, "response")) as [IncomingMessage];
      await once(response, "data");
      const signal = await promise;
      expect(signal.aborted).toBe(false);
      response.destroy();
      expect(await aborted(signal)).toBe(true);
    });

    test("is not taken in by a request that was read to its end", async () => {
      const { promise, resolve } = Promise.withResolvers<AbortSignal>();
      const seen: unknown[] = [];
      const answer = await answerOf(
        App,
        async (ctx) => {
          const signal = connectionSignal(ctx);
          seen.push((await buffer(ctx.req)).length);
          await new Promise(setImmediate);
          seen.push(signal.aborted);
          resolve(signal);
          ctx.body = "ok";
        },
        { method: "POST", body: "x".repeat(100_000) },
      );
      expect(answer.body).toBe("ok");
      expect(seen).toEqual([100_000, false]);
      expect(await aborted(await promise)).toBe(true);
    });

    test("of a response that has closed already is aborted", async () => {
      const { promise, resolve } = Promise.withResolvers<ExtendableContext>();
      await answerOf(App, (ctx) => {
        ctx.res.once("close", () => resolve(ctx));
      });
      expect(connectionSignal(await promise).aborted).toBe(true);
    });

    test("leaves no listener on a connection that is kept alive", async () => {
      const counts: number[] = [];
      const ports = new Set<number | undefined>();
      await using served = await serve(
        appOf(App, (ctx) => {
          connectionSignal(ctx);
          const { socket } = ctx.req;
          ports.add(socket.remotePort);
          counts.push(socket.eventNames().reduce((sum, it) => sum + socket.listenerCount(it), 0));
          ctx.body = "ok";
        }),
      );
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      for (let i = 0; i < 12; i++) {
        const client = request(served.url, { agent }).end();
        const [response] = (await once(client, "response")) as [IncomingMessage];
        await text(response);
      }
      agent.destroy();
      expect(ports.size).toBe(1);
      expect(counts).toHaveLength(12);
      expect(new Set(counts).size).toBe(1);
    });

    test("over HTTP/2 aborts with its own stream, not with the others'", async () => {
      const signals = new Map<string, AbortSignal>();
      const late = Promise.withResolvers<ExtendableContext>();
      const app = appOf(App, (ctx) => {
        if (ctx.path !== "/late") signals.set(ctx.path, connectionSignal(ctx));
        else ctx.res.once("close", () => setImmediate(() => late.resolve(ctx)));
        if (ctx.path === "/open") {
          ctx.respond = false;
          ctx.res.write("the beginning");
        } else ctx.body = "ok";
      });
      await overHttp2(app, async (client) => {
        const open = client.request({ ":path": "/open" });
        await once(open, "data");
        await http2Answer(client, { ":path": "/short" });
        expect(await aborted(signals.get("/short") as AbortSignal)).toBe(true);
        expect(signals.get("/open")?.aborted).toBe(false);
        open.close(8);
        expect(await aborted(signals.get("/open") as AbortSignal)).toBe(true);

        await http2Answer(client, { ":path": "/late" });
        expect(connectionSignal(await late.promise).aborted).toBe(true);
      });
    });
  });

  describe("followSocket", () => {
    /** A context of a real upgrade whose 101 was sent, and the client's end of its socket. */
    async function upgrade(
      run: (ctx: ExtendableContext, socket: Socket, client: Socket) => Promise<void>,
    ) {
      const app = new App();
      await using served = await serve(app);
      const upgraded = Promise.withResolvers<[ExtendableContext, Socket]>();
      served.server.on("upgrade", (req, socket: Socket) => {
        const res = new ServerResponse(req);
        socket.write(
          "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
        );
        socket.on("error", () => {});
        upgraded.resolve([app.createContext(req, res), socket]);
      });
      const client = connect(Number(new URL(served.url).port), "127.0.0.1");
      client.on("error", () => {});
      client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
      try {
        const [ctx, socket] = await upgraded.promise;
        await run(ctx, socket, client);
      } finally {
        client.destroy();
      }
    }

    test.each(["before", "after"])(
      "a signal asked for %s ends with the socket, not with the response",
      (when) =>
        upgrade(async (ctx, socket, client) => {
          const early = when === "before" ? connectionSignal(ctx) : undefined;
          followSocket(ctx, socket);
          const signal = connectionSignal(ctx);
          if (early) expect(signal).toBe(early);
          ctx.res.emit("close");
          expect(signal.aborted).toBe(false);
          client.resetAndDestroy();
          expect(await aborted(signal)).toBe(true);
          expect(ctx.res.listenerCount("close")).toBe(0);
        }),
    );

    test.each(["before", "after"])(
      "a signal asked for %s a socket that has closed already is aborted",
      (when) =>
        upgrade(async (ctx, socket) => {
          socket.destroy();
          await once(socket, "close");
          const early = when === "before" ? connectionSignal(ctx) : undefined;
          followSocket(ctx, socket);
          expect(connectionSignal(ctx).aborted).toBe(true);
          if (early) expect(early.aborted).toBe(true);
        }),
    );

    test("a socket that nobody asks about is not listened to", () =>
      upgrade(async (ctx, socket) => {
        const before = socket.listenerCount("close");
        followSocket(ctx, socket);
        expect(socket.listenerCount("close")).toBe(before);
      }));
  });
});
