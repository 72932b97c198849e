import { createHmac, createSecretKey, hkdfSync, randomBytes } from "node:crypto";
import { createSessions } from "@lanai/session";
import { extend } from "@lanai/session/extension";
import type { Context } from "koa";
import { describe, expect, test } from "vitest";
import { isLong, randomFrom, seed } from "../../../scripts/testing/chance.ts";
import type { NewRecord } from "../src/store.ts";
import { type SealedStoreOptions, sealedStore } from "../src/stores/sealed-store.ts";
import { storeConformance } from "../src/testing/store-conformance.ts";
import { site } from "./site.ts";

const MINUTE = 60_000;
const DAY = 86_400_000;
const START = Date.UTC(2026, 0, 1);
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const key = "the first secret, which has more than 32 bytes";
const otherKey = "the other secret, which has more than 32 bytes";

const record: NewRecord = {
  operation: "create",
  publicId: "the-public-id",
  values: new Map([["d:name", '"Ada"']]),
  owners: new Set(["user:ada"]),
  idle: 30 * MINUTE,
  absolute: DAY,
};

let operations = 0;
const change = () => ({ operation: `operation ${operations++}` });

const open = (options: Partial<SealedStoreOptions> = {}) => {
  let now = START;
  const store = sealedStore({ context: "test", keys: [key], clock: () => now, ...options });
  return {
    store,
    advance(ms: number) {
      now += ms;
    },
  };
};

const forms = [
  { form: "encrypted", readableByClient: false },
  { form: "signed", readableByClient: true },
];

describe.for(forms)("$form", ({ form, readableByClient }) => {
  storeConformance({
    name: `sealed, ${form}`,
    test,
    open: () => {
      const opened = open({ readableByClient });
      return { ...opened, again: opened.store };
    },
    limits: [
      "index",
      "revoke",
      "final",
      "merge",
      "once",
      "renewed",
      "taken",
      "repeat",
      "large",
      "forever",
    ],
  });

  const { store } = open({ readableByClient });
  const text = store.create("", record);
  const statusOf = (altered: string, by = store) => by.load(altered).status;

  test("a sealed session is one word of base64url", () => {
    expect(text).toMatch(/^[A-Za-z0-9_-]+$/);
    expect(store.carriesData.isValid(text)).toBe(true);
    expect(statusOf(text)).toBe("live");
  });

  test("no bit can be flipped", () => {
    for (let at = 0; at < text.length; at++) {
      for (let bit = 0; bit < 6; bit++) {
        const flipped = ALPHABET[ALPHABET.indexOf(text.charAt(at)) ^ (1 << bit)];
        expect(statusOf(text.slice(0, at) + flipped + text.slice(at + 1))).toBe("none");
      }
    }
  });

  test("nothing can be cut off or added", () => {
    for (let length = 0; length < text.length; length++) {
      expect(statusOf(text.slice(0, length))).toBe("none");
      expect(statusOf(text.slice(text.length - length))).toBe("none");
    }
    for (const added of ["A", "AA", "AAAA", "=", "=="]) expect(statusOf(text + added)).toBe("none");
  });

  test("no mutation opens, and none throws", () => {
    const below = randomFrom(seed);
    for (let n = 0; n < (isLong ? 10_000 : 1_000); n++) {
      const characters = [...text];
      for (let edits = 1 + below(4); edits > 0; edits--) {
        const added = below(10) > 0 ? ALPHABET.charAt(below(64)) : String.fromCharCode(below(512));
        characters.splice(below(characters.length + 1), below(3), ...added.repeat(below(3)));
      }
      const mutated = characters.join("");
      if (mutated === text) continue;
      expect(statusOf(mutated), `LANAI_SEED=${seed}, mutation ${n}: ${mutated}`).toBe("none");
      expect(store.commit(mutated, change()), `LANAI_SEED=${seed}`).toEqual({ status: "gone" });
    }
  });

  test.for([
    ["", "nothing"],
    ["A".repeat(10_000_000), "ten megabytes"],
    [`${text.slice(0, 2)}${"A".repeat(4_000)}`, "garbage of the right shape"],
    [`${text.slice(0, 20)} ${text.slice(21)}`, "a space"],
    [text.replace(/.$/, "é"), "another alphabet"],
  ] as const)("%$: hostile texts are no sessions: $1", ([hostile]) => {
    expect(statusOf(hostile)).toBe("none");
    expect(store.destroy(hostile)).toBeUndefined();
  });

  test("a text of the wrong shape is refused without opening it", () => {
    const { isValid } = store.carriesData;
    for (const wrong of ["", "A1", text.slice(1), `${text}=`, `${text}\n`, `${text}.`]) {
      expect(isValid(wrong)).toBe(false);
    }
    expect(isValid(text.padEnd(4032, "A"))).toBe(true);
    expect(isValid(text.padEnd(4033, "A"))).toBe(false);
  });

  test("another key opens nothing", () => {
    expect(statusOf(text, open({ readableByClient, keys: [otherKey] }).store)).toBe("none");
  });

  test("the first key seals and all open", () => {
    const rotated = open({ readableByClient, keys: [otherKey, key] }).store;
    const result = rotated.commit(text, { ...change(), touch: true });
    expect(result.status).toBe("saved");
    const resealed = result.status === "saved" ? result.key : "";
    expect(statusOf(resealed, rotated)).toBe("live");
    expect(statusOf(resealed)).toBe("none");
    expect(statusOf(resealed, open({ readableByClient, keys: [otherKey] }).store)).toBe("live");
  });

  test("text, bytes and key objects are one key", () => {
    const bytes = new TextEncoder().encode(key);
    for (const same of [bytes, createSecretKey(bytes)]) {
      expect(statusOf(text, open({ readableByClient, keys: [same] }).store)).toBe("live");
    }
  });

  test("the other form opens nothing, under whichever prefix", () => {
    const other = open({ readableByClient: !readableByClient }).store;
    const prefix = other.create("", record).slice(0, 2);
    expect(statusOf(text, other)).toBe("none");
    expect(statusOf(prefix + text.slice(2), other)).toBe("none");
  });

  test("a session that was issued more than a minute ahead is refused", () => {
    const ahead = open({ readableByClient });
    ahead.advance(MINUTE);
    expect(statusOf(ahead.store.create("", record))).toBe("live");
    ahead.advance(1);
    expect(statusOf(ahead.store.create("", record))).toBe("none");
  });

  test("writing extends no session beyond maxAge, which a login restarts", () => {
    const aging = open({ readableByClient, maxAge: 10 * MINUTE });
    const touch = (sealed: string, restart = {}) => {
      const result = aging.store.commit(sealed, { ...change(), touch: true, ...restart });
      return result.status === "saved" ? result.key : result.status;
    };
    let sealed = aging.store.create("", { ...record, idle: Infinity, absolute: Infinity });
    aging.advance(9 * MINUTE);
    sealed = touch(sealed, { idle: Infinity, absolute: Infinity });
    const signedIn = touch(sealed, { restart: true });
    aging.advance(MINUTE);
    expect(touch(sealed)).toBe("gone");
    expect(statusOf(signedIn, aging.store)).toBe("live");
  });

  test("a shorter maxAge holds for sessions that were sealed before", () => {
    const stricter = open({ readableByClient, maxAge: MINUTE });
    expect(statusOf(text, stricter.store)).toBe("live");
    stricter.advance(MINUTE);
    expect(statusOf(text, stricter.store)).toBe("none");
  });

  test("what is too large is refused with its size and the limit", () => {
    const values = new Map([["d:note", "x".repeat(4000)]]);
    const large = { ...record, values };
    const message = /^sealedStore: the sealed session has [45]\d{3} bytes, and maxBytes is 4032:/;
    const error = expect.objectContaining({
      code: "ERR_SESSION_TOO_LARGE",
      message: expect.stringMatching(message),
    });
    expect(() => store.create("", large)).toThrow(error);
    expect(() => store.commit(text, { ...change(), set: values })).toThrow(error);
    const roomier = open({ readableByClient, maxBytes: 16_384 }).store;
    expect(statusOf(roomier.create("", large), roomier)).toBe("live");
  });

  test("a session of exactly maxBytes fits and opens", () => {
    const tight = (maxBytes: number) => open({ readableByClient, maxBytes }).store;
    const larger = { ...record, values: new Map([["d:note", "x".repeat(500)]]) };
    const size = tight(16_384).create("", larger).length;
    expect(statusOf(tight(size).create("", larger), tight(size))).toBe("live");
    expect(() => tight(size - 1).create("", larger)).toThrow(`has ${size} bytes`);
  });
});

test("an encrypted session shows nothing of what is in it", () => {
  const { store } = open();
  const bytes = Buffer.from(store.create("", record).slice(2), "base64url").toString("latin1");
  for (const secret of ["Ada", "name", "user:ada", "the-public-id", String(START)]) {
    expect(bytes).not.toContain(secret);
  }
});

test("a signed session can be read by its client", () => {
  const { store } = open({ readableByClient: true });
  const json = Buffer.from(store.create("", record).slice(18), "base64url").toString();
  for (const shown of ["Ada", "d:name", "user:ada", "the-public-id", String(START)]) {
    expect(json).toContain(shown);
  }
});

test("S13: a read doesn't touch a sealed session: it sends no cookie, and the idle time runs on", async () => {
  const { store, advance } = open();
  await using it = await site(
    {
      "/set": (ctx) => void ctx.session.set("a", 1),
      "/again": (ctx) => void ctx.session.set("b", 2),
      "/": (ctx) => ctx.session.toJSON(),
    },
    { store, idleTimeout: 30 * MINUTE },
  );
  const browser = it.browser();
  const read = async () => {
    const response = await browser.get("/");
    expect(response.headers.getSetCookie()).toEqual([]);
    return response.json();
  };
  await browser.get("/set");
  advance(15 * MINUTE);
  expect(await read()).toEqual({ a: 1 });
  const written = await browser.get("/again");
  expect(written.headers.getSetCookie()).toHaveLength(1);
  advance(15 * MINUTE);
  expect(await read()).toEqual({ a: 1, b: 2 });
  advance(15 * MINUTE);
  expect(await read()).toEqual({});
});

/** What another program, or a version to come, would write with the same secret. */
const signElsewhere = (json: string): string => {
  const derived = hkdfSync("sha256", key, "", "@lanai/session sealedStore S2 test", 32);
  const text = `S2${"A".repeat(16)}${Buffer.from(json).toString("base64url")}`;
  return text + createHmac("sha256", Buffer.from(derived)).update(text).digest("base64url");
};

test("a text that follows the format opens", () => {
  const { store } = open({ readableByClient: true });
  const parts = [1, "p", START, START, START, MINUTE, DAY, ["user:ada"], ["a", "1"]];
  const loaded = store.load(signElsewhere(JSON.stringify(parts)));
  expect(loaded.status === "live" && loaded.record.values).toEqual(new Map([["a", "1"]]));
});

test.for([
  "",
  "{",
  "null",
  "{}",
  "[]",
  `[2,"p",${START},${START},${START},60000,60000,[],[]]`,
  `[1,"p",${START},${START},${START},60000,60000,[],[],0]`,
  `[1,7,${START},${START},${START},60000,60000,[],[]]`,
  `[1,"p","${START}",${START},${START},60000,60000,[],[]]`,
  `[1,"p",${START},${START},${START},null,60000,[],[]]`,
  `[1,"p",${START},${START},${START},60000,1e999,[],[]]`,
  `[1,"p",${START},${START},${START},60000,60000,{},[]]`,
  `[1,"p",${START},${START},${START},60000,60000,[7],[]]`,
  `[1,"p",${START},${START},${START},60000,60000,[],["a"]]`,
  `[1,"p",${START},${START},${START},60000,60000,[],["a",1]]`,
])("what is authentic but no session of this version is none: %s", (json) => {
  const { store } = open({ readableByClient: true });
  expect(store.load(signElsewhere(json))).toEqual({ status: "none" });
});

test.for(forms)("no nonce comes twice in 10,000 seals, $form", ({ readableByClient }) => {
  const { store } = open({ readableByClient });
  const nonces = new Set<string>();
  for (let n = 0; n < 10_000; n++) nonces.add(store.create("", record).slice(2, 18));
  expect(nonces.size).toBe(10_000);
});

test("a small session takes less than 300 bytes", () => {
  const publicId = randomBytes(16).toString("base64url");
  for (const { readableByClient } of forms) {
    const { store } = open({ readableByClient });
    expect(store.create("", { ...record, publicId }).length).toBeLessThan(300);
  }
});

const secret = "too short a secret";
test.for([
  [undefined, TypeError, "sealedStore: the options must be an object"],
  [{ context: "test", keys: [key], ttl: 1 }, TypeError, 'sealedStore: there is no option "ttl"'],
  [{}, TypeError, "sealedStore: context must be a string of 1 to 256 characters"],
  [{ context: "", keys: [key] }, TypeError, "sealedStore: context must be a string"],
  [{ context: "test" }, TypeError, "sealedStore: keys must be an array of at least one secret"],
  [
    { context: "test", keys: [] },
    TypeError,
    "sealedStore: keys must be an array of at least one secret",
  ],
  [
    { context: "test", keys: secret },
    TypeError,
    "sealedStore: keys must be an array of at least one secret",
  ],
  [
    { context: "test", keys: [key, 7] },
    TypeError,
    "sealedStore: keys[1] must be a string, a Uint8Array",
  ],
  [
    { context: "test", keys: [secret] },
    RangeError,
    "sealedStore: keys[0] must have at least 32 bytes, got 18",
  ],
  [
    { context: "test", keys: [key], readableByClient: 1 },
    TypeError,
    "readableByClient must be a boolean",
  ],
  [
    { context: "test", keys: [key], maxAge: Infinity },
    RangeError,
    "sealedStore: maxAge must be a finite number",
  ],
  [
    { context: "test", keys: [key], maxAge: 0 },
    RangeError,
    "sealedStore: maxAge must be a finite number",
  ],
  [
    { context: "test", keys: [key], maxBytes: 511 },
    RangeError,
    "maxBytes must be an integer from 512 to 16384",
  ],
  [{ context: "test", keys: [key], maxBytes: 16_385 }, RangeError, "got 16385"],
  [
    { context: "test", keys: [key], clock: START },
    TypeError,
    "sealedStore: clock must be a function, got number",
  ],
] as const)("a wrong option is refused by name: %j", ([options, type, message]) => {
  const make = () => sealedStore(options as unknown as SealedStoreOptions);
  expect(make).toThrow(type);
  expect(make).toThrow(message);
  expect(make).not.toThrow(secret);
});

test.for(forms)("a session of one context opens in no other, $form", ({ readableByClient }) => {
  const { store } = open({ readableByClient });
  const { store: admin } = open({ readableByClient, context: "admin" });
  const text = store.create("", record);
  expect(store.load(text).status).toBe("live");
  expect(admin.load(text).status).toBe("none");
  expect(open({ readableByClient }).store.load(text).status).toBe("live");
});

test("one sealed store under two managers is refused", () => {
  const { store } = open();
  createSessions({ store });
  expect(() => createSessions({ store, property: "admin" })).toThrow(
    "createSessions: store is used by another manager already",
  );
});

test("what a package keeps in a session gives way until the session fits, or nothing is left", async () => {
  const keep = (ctx: Context, own: number) => {
    const notes = extend(ctx.session).namespace<Record<string, string>>("notes");
    for (const name of ["a", "b", "c"]) notes.set(name, "x".repeat(1_500));
    extend(ctx.session).whenTooLarge(() => {
      const [oldest] = notes.keys();
      if (oldest === undefined) return false;
      notes.delete(oldest);
      return true;
    });
    ctx.session.set("own", "x".repeat(own));
  };
  await using at = await site(
    {
      "/fits": (ctx) => keep(ctx, 10),
      "/never": (ctx) => keep(ctx, 9_000),
      "/notes": (ctx) => extend(ctx.session).namespace("notes").keys(),
    },
    { store: sealedStore({ context: "test", keys: [key] }) },
  );
  const browser = at.browser();
  expect((await browser.get("/fits")).status).toBe(204);
  expect(await browser.text("/notes")).toBe('["c"]');
  expect((await at.browser().get("/never")).status).toBe(500);
  expect(at.errors).toMatchObject([{ code: "ERR_SESSION_TOO_LARGE" }]);
});
