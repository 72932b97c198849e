import type { Server } from "node:http";
import { Router } from "@koa/router";
import { type Bus, createPubSub, memoryPubSub, type PubSub, pubsub } from "@lanai/pubsub";
import type Koa from "koa";
import type { Context, Middleware } from "koa";
import { describe, expect, test } from "vitest";
import { koaVersions } from "../../session/test/koa-versions.ts";
import { type Client, open, serve } from "./http.ts";
import { until } from "./until.ts";
import { watch } from "./watched.ts";

/** Reads the body, as a body parser does. */
const parseBody: Middleware = async (ctx, next) => {
  let text = "";
  for await (const chunk of ctx.req) text += chunk;
  ctx.state.body = text;
  await next();
};

/** Sends the head and holds the response open. */
const hold = (ctx: Context): void => {
  ctx.respond = false;
  ctx.res.writeHead(200);
  ctx.res.write("\n");
};

describe.each(koaVersions)("%s", (_version, App) => {
  const make = (...middleware: (Middleware | Router)[]): Koa => {
    const app = new App();
    app.silent = true;
    for (const it of middleware) app.use(it instanceof Router ? it.routes() : it);
    return app;
  };
  const answer = async (app: Koa, path = "/"): Promise<string> => {
    await using served = await serve(app);
    return (await fetch(served.url + path)).text();
  };
  const echo: Middleware = async (ctx) => {
    const heard: unknown[] = [];
    await ctx.pubsub.subscribe("a.*", (data) => heard.push(data));
    await ctx.pubsub.publish("a.b", { path: ctx.path });
    ctx.body = heard;
  };

  describe("levels", () => {
    test("app.use, with nothing configured", async () => {
      expect(await answer(make(pubsub(), echo))).toBe('[{"path":"/"}]');
    });

    test("router.use on a nested router", async () => {
      const group = new Router();
      group.use(pubsub());
      group.get("/in", echo);
      const router = new Router();
      router.use("/group", group.routes());
      expect(await answer(make(router), "/group/in")).toBe('[{"path":"/group/in"}]');
    });

    test("one route's array", async () => {
      const router = new Router();
      router.get("/with", pubsub(), echo);
      router.get("/without", (ctx) => {
        ctx.body = String(ctx.pubsub);
      });
      expect(await answer(make(router), "/with")).toBe('[{"path":"/with"}]');
      expect(await answer(make(router), "/without")).toBe("undefined");
    });

    test("several levels share one bus; the face is made once", async () => {
      const bus = createPubSub();
      const faces = new Set<unknown>();
      const note: Middleware = (ctx, next) => {
        faces.add(ctx.pubsub);
        return next();
      };
      await answer(make(bus.middleware(), note, bus.middleware(), note, echo));
      expect(faces.size).toBe(1);
    });

    test("two buses need a property each", async () => {
      const [one, other] = [createPubSub(), createPubSub({ property: "news" })];
      const both = make(one.middleware(), other.middleware(), (ctx) => {
        const { news } = ctx as unknown as { news: Bus };
        ctx.body = [ctx.pubsub.backend === one.backend, news.backend === other.backend];
      });
      expect(await answer(both)).toBe("[true,true]");
      const errors: unknown[] = [];
      const clash = make(one.middleware(), createPubSub().middleware(), echo);
      clash.on("error", (error) => errors.push(error));
      await answer(clash);
      expect(errors).toEqual([expect.objectContaining({ code: "ERR_PUBSUB_PROPERTY_TAKEN" })]);
    });

    test("publish, events, history, ensureStream, raw and backend are those of the bus", async () => {
      const bus = createPubSub();
      const app = make(bus.middleware(), async (ctx) => {
        await ctx.pubsub.ensureStream({ name: "all", subjects: [">"] });
        await ctx.pubsub.raw.publish("x", new TextEncoder().encode("1"));
        const [event] = await ctx.pubsub.history("x", 1);
        const events = ctx.pubsub.events("x", { replay: 1 });
        const { value } = await events.next();
        ctx.body = [event?.data, value?.data, ctx.pubsub.backend === bus.backend];
      });
      expect(await answer(app)).toBe("[1,1,true]");
    });
  });

  describe("what a request subscribed ends with its connection", () => {
    const subscribers: readonly [string, (ctx: Context) => unknown][] = [
      ["subscribe", (ctx) => ctx.pubsub.subscribe("x", () => {})],
      ["raw.subscribe", (ctx) => ctx.pubsub.raw.subscribe("x", () => {})],
      ["events", (ctx) => ctx.pubsub.events("x").subscription],
      [
        "subscribe with a signal of its own",
        (ctx) => ctx.pubsub.subscribe("x", () => {}, { signal: new AbortController().signal }),
      ],
    ];

    describe.each(subscribers)("%s", (_, subscribe) => {
      test.each([
        ["a GET that ends", undefined, false],
        ["a GET whose client leaves", undefined, true],
        ["a POST that ends, after a body parser", "a=b", false],
        ["a POST whose client leaves, after a body parser", "a=b", true],
      ])("%s", async (_name, body, leaves) => {
        using watched = watch();
        const app = make(parseBody, pubsub(), async (ctx) => {
          await subscribe(ctx);
          if (leaves) hold(ctx);
          else ctx.body = "done";
        });
        await using served = await serve(app);
        const client = open(served.url, body);
        await client.response;
        expect(watched.count("subscribed")).toBe(1);
        if (leaves) {
          expect(watched.open()).toBe(1);
          client.leave();
        }
        await until("the subscription has ended", () => watched.open() === 0);
      });
    });

    test("also while the subscribe is under way", async () => {
      using watched = watch();
      const memory = memoryPubSub();
      const gate = Promise.withResolvers<void>();
      let asked = 0;
      let ended = 0;
      const slow: PubSub = {
        ...delegate(memory),
        subscribe: async (...args) => {
          asked += 1;
          await gate.promise;
          const subscription = await memory.subscribe(...args);
          expect(subscription.status).toBe("closed");
          ended += 1;
          return subscription;
        },
      };
      const app = make(pubsub({ backend: slow }), async (ctx) => {
        await ctx.pubsub.subscribe("x", () => {});
        hold(ctx);
      });
      await using served = await serve(app);
      const clients = Array.from({ length: 20 }, () => open(served.url));
      await until("all ask", () => asked === 20);
      for (const client of clients) client.leave();
      await untilNoConnections(served.server);
      gate.resolve();
      await until("all have ended", () => ended === 20);
      expect(watched.open()).toBe(0);
    });

    test("an iterator of it is done", async () => {
      const done = Promise.withResolvers<unknown>();
      const app = make(pubsub(), async (ctx) => {
        const events = ctx.pubsub.events("x");
        hold(ctx);
        done.resolve(await events.next());
      });
      await using served = await serve(app);
      const client = open(served.url);
      await client.response;
      client.leave();
      expect(await done.promise).toEqual({ done: true, value: undefined });
    });

    test("and what the bus subscribed stays", async () => {
      const bus = createPubSub();
      const heard: unknown[] = [];
      const app = make(bus.middleware(), async (ctx) => {
        await bus.subscribe("x", (data) => heard.push(data));
        ctx.body = "done";
      });
      await answer(app);
      await bus.publish("x", 1);
      expect(heard).toEqual([1]);
    });

    test("a subject that a client has spoilt is a 400 for it alone", async () => {
      const app = make(pubsub(), async (ctx) => {
        await ctx.pubsub.publish(`room.${ctx.query.room}`, 1);
        ctx.body = "sent";
      });
      await using served = await serve(app);
      const statuses = ["general", ">", "a b", "*", ""].map(async (room) => {
        const { status } = await fetch(`${served.url}?room=${encodeURIComponent(room)}`);
        return status;
      });
      expect(await Promise.all(statuses)).toEqual([200, 400, 400, 400, 400]);
    });
  });
});

const delegate = (to: PubSub): PubSub => ({
  publish: (...args) => to.publish(...args),
  subscribe: (...args) => to.subscribe(...args),
  close: () => to.close(),
});

async function untilNoConnections(server: Server): Promise<void> {
  let left = 1;
  while (left > 0) {
    left = await new Promise<number>((resolve) => server.getConnections((_, n) => resolve(n)));
    await new Promise(setImmediate);
  }
}

test("10,000 subscribers come and go, half mid-subscribe, and leave nothing", async () => {
  const collect = await garbageCollector();
  using watched = watch();
  const memory = memoryPubSub();
  let gate: PromiseWithResolvers<void> | undefined;
  let asked = 0;
  const backend: PubSub = {
    ...delegate(memory),
    subscribe: async (...args) => {
      asked += 1;
      await gate?.promise;
      return memory.subscribe(...args);
    },
  };
  const [[, App]] = koaVersions as [(typeof koaVersions)[number]];
  const app = new App();
  app.silent = true;
  app.use(pubsub({ backend }));
  app.use(async (ctx) => {
    await ctx.pubsub.subscribe(`room.${asked % 7}.*`, () => {});
    hold(ctx);
  });
  await using served = await serve(app);

  const batch = async (size: number): Promise<void> => {
    gate = undefined;
    asked = 0;
    const settled = Array.from({ length: size / 2 }, () => open(served.url));
    await Promise.all(settled.map(({ response }) => response));
    gate = Promise.withResolvers();
    const pending: Client[] = Array.from({ length: size / 2 }, () => open(served.url));
    await until("all are subscribing", () => asked === size);
    for (const { leave } of [...pending, ...settled]) leave();
    await untilNoConnections(served.server);
    gate.resolve();
    await until("all have ended", () => watched.open() === 0);
    watched.events.length = 0;
  };

  for (let i = 0; i < 5; i++) await batch(400);
  await collect();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 25; i++) await batch(400);
  await collect();
  const grown = process.memoryUsage().heapUsed - before;
  // A subscription that stayed would be a kilobyte at the least, and all of them ten megabytes.
  expect(grown).toBeLessThan(3 * 2 ** 20);
});

async function garbageCollector(): Promise<() => Promise<void>> {
  const { setFlagsFromString } = await import("node:v8");
  const { runInNewContext } = await import("node:vm");
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  return async () => {
    for (let i = 0; i < 3; i++) {
      await new Promise(setImmediate);
      collect();
    }
  };
}
