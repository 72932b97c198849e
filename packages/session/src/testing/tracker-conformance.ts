import assert from "node:assert/strict";
import Koa, { type ExtendableContext } from "koa";
import type { Id } from "../id-generator.ts";
import type { Awaitable, SessionRecord } from "../store.ts";
import { complete, fieldsOf, idOf, type OpenedTracker, type TrackerCase } from "./tracker/case.ts";
import {
  checkHostile,
  hostileRequests,
  hostileTexts,
  joined,
  mapPresented,
  mutate,
  randomOf,
  randomText,
} from "./tracker/hostile.ts";

/** Options of `trackerConformance`. */
export interface TrackerConformanceOptions {
  /** Begins the name of every test. */
  readonly name: string;
  /** The runner's function: Vitest's, Mocha's or that of `node:test`. */
  readonly test: (name: string, fn: () => Promise<void>) => unknown;
  /** Called once for each test. */
  open(): Awaitable<OpenedTracker>;
  /** Two different ids that the tracker can carry. Default: like those of `randomIds()`. */
  readonly ids?: readonly [Id, Id];
  /** Default: an app of the Koa that is installed beside this package. */
  createApp?(): Koa;
}

const ID = "mNfMp0VO5KuhOKeoQDFlCR2cN8d0dFoOJ0zKeqR0wLA";
const OTHER_ID = "mNXi27Z1yQbAzqYB8vBFN0h5rGJsHB2RBXy1vWPVr0s";
/**
 * The suite for authors of trackers: registers one test for each thing that {@link Tracker}
 * promises. What can be sent over HTTP is, to a real Koa app on a free port of the loopback.
 */
export function trackerConformance(options: TrackerConformanceOptions): void {
  const { name, test, ids: [id, otherId] = [ID, OTHER_ID], createApp = () => new Koa() } = options;

  const fact = (text: string, fn: (opened: TrackerCase) => Promise<void>) =>
    test(`${name}: ${text}`, async () => {
      const opened = await options.open();
      try {
        await fn(complete(opened, createApp));
      } finally {
        await opened.close?.();
      }
    });

  fact("a request that brings nothing has no id", async ({ read, readRaw, tracker }) => {
    assert.equal(await read({}), undefined);
    assert.equal(await readRaw({}), undefined);
    for (const field of fieldsOf(tracker)) {
      assert.equal(await readRaw({ headers: { [field]: "" } }), undefined, `an empty ${field}`);
    }
  });

  fact(
    "the id that a client presents is read, each time alike",
    async ({ exchange, present, tracker }) => {
      for (const presented of [id, otherId]) {
        const { result } = await exchange(await present(presented), async (ctx) => [
          idOf((await tracker.get(ctx))[0]),
          idOf((await tracker.get(ctx))[0]),
        ]);
        assert.deepEqual(result, [presented, presented]);
      }
    },
  );

  fact("vary names the headers that bring an id", async ({ present, tracker }) => {
    const { headers = {} } = await present(id);
    const named = fieldsOf(tracker);
    for (const field of Object.keys(headers)) {
      assert.ok(named.includes(field.toLowerCase()), `${field} is not in vary`);
    }
  });

  fact("reading sends nothing", async ({ exchange, present, tracker }) => {
    for (const presented of [{}, await present(id)]) {
      const { result } = await exchange(presented, async (ctx) => {
        const before = ctx.res.getHeaderNames();
        await tracker.get(ctx);
        return [before, ctx.res.getHeaderNames()];
      });
      assert.deepEqual(result[1], result[0]);
    }
  });

  fact("what is set, a client presents", async ({ exchange, answer, read, tracker }) => {
    for (const maxAge of [undefined, 1, 1500, 365 * 24 * 60 * 60 * 1000, Number.MAX_SAFE_INTEGER]) {
      const { headers } = await exchange({}, (ctx) => tracker.set(ctx, id, recordOf(), maxAge));
      assert.equal(idOf(await read(await answer(headers, id))), id, `maxAge ${maxAge}`);
    }
  });

  fact("what is set twice is there once, the last", async ({ exchange, answer, read, tracker }) => {
    const one = await exchange({}, (ctx) => tracker.set(ctx, id, recordOf()));
    const two = await exchange({}, async (ctx) => {
      await tracker.set(ctx, id, recordOf());
      await tracker.set(ctx, otherId, recordOf());
    });
    assert.equal(two.headers.getSetCookie().length, one.headers.getSetCookie().length);
    assert.equal(idOf(await read(await answer(two.headers, otherId))), otherId);
  });

  fact(
    "what is cleared, a client forgets",
    async ({ exchange, present, answer, read, tracker }) => {
      const { headers } = await exchange(await present(id), async (ctx) => {
        await tracker.get(ctx);
        await tracker.clear(ctx);
      });
      assert.equal(await read(await answer(headers, undefined)), undefined);
    },
  );

  fact("the last of set and clear counts", async ({ exchange, answer, read, tracker }) => {
    const cleared = await exchange({}, async (ctx) => {
      await tracker.set(ctx, id, recordOf());
      await tracker.clear(ctx);
    });
    assert.equal(await read(await answer(cleared.headers, undefined)), undefined);
    const set = await exchange({}, async (ctx) => {
      await tracker.clear(ctx);
      await tracker.set(ctx, id, recordOf());
    });
    assert.equal(idOf(await read(await answer(set.headers, id))), id);
  });

  fact("what the app sends itself is left alone", async ({ exchange, tracker }) => {
    const app = (ctx: ExtendableContext, word: string) => {
      ctx.append("Set-Cookie", `${word}=${word}; path=/${word}`);
      ctx.set(`X-${word}`, word);
    };
    for (const write of [
      (ctx: ExtendableContext) => tracker.set(ctx, id, recordOf()),
      (ctx: ExtendableContext) => tracker.clear(ctx),
    ]) {
      const { headers } = await exchange({}, async (ctx) => {
        app(ctx, "before");
        await write(ctx);
        app(ctx, "after");
        await write(ctx);
      });
      for (const word of ["before", "after"]) {
        assert.ok(headers.getSetCookie().includes(`${word}=${word}; path=/${word}`), word);
        assert.equal(headers.get(`X-${word}`), word);
      }
    }
  });

  fact(
    "a response that the app ends itself carries it too",
    async ({ exchange, answer, read, tracker }) => {
      const { headers } = await exchange({}, async (ctx) => {
        ctx.respond = false;
        await tracker.set(ctx, id, recordOf());
        ctx.res.end();
      });
      assert.equal(idOf(await read(await answer(headers, id))), id);
    },
  );

  fact("of two ids in one place none is guessed: both are read, or neither", async (opened) => {
    const both = joined(await opened.present(id), await opened.present(otherId));
    const ids = (await opened.readAll(both)).map(idOf).filter((it) => it !== undefined);
    assert.ok(ids.length !== 1, "one of two ids was guessed");
  });

  fact(
    "hostile requests are refused or read as they are",
    async ({ present, readRaw, tracker }) => {
      const shown = await present(id);
      for (const text of hostileTexts()) {
        for (const presented of hostileRequests(shown, tracker, id, text)) {
          checkHostile(presented, [id, text], await readRaw(presented));
        }
        checkHostile({}, [text], await readRaw({}, text));
      }
    },
  );

  fact("10,000 random requests are refused or read as they are", async ({ present, readRaw }) => {
    const seed = Math.trunc(Math.random() * 2 ** 31);
    const random = randomOf(seed);
    const shown = await present(id);
    for (let made = 0; made < 10_000; made++) {
      const text = randomText(random);
      const mutated = mapPresented(shown, (value) => mutate(value, random, text));
      checkHostile(mutated, [id], await readRaw(mutated), `seed ${seed}`);
      checkHostile({}, [text], await readRaw({}, text), `seed ${seed}`);
    }
  });
}

function recordOf(): SessionRecord {
  const now = Date.now();
  return {
    publicId: "conformance",
    values: new Map(),
    owners: new Set(),
    createdAt: now,
    startedAt: now,
    seenAt: now,
    idle: 30 * 60 * 1000,
    absolute: 24 * 60 * 60 * 1000,
  };
}
