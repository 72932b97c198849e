import { memoryStore } from "@lanai/session";
import { jwtTracker } from "@lanai/session-jwt";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { contextOf } from "../../session/test/tracker-context.ts";
import { send, tokenSite } from "./token-site.ts";
import { ISSUER, KEYS, keysSignedBy, SID } from "./tokens.ts";

const BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** One edit of a text, at a place that is a part of its length. */
type Edit = (text: string) => string;

const place = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
const letter = fc.constantFrom(...BASE64URL, ".", "=", " ", "~", "%");
const at = (text: string, part: number) => Math.floor(part * text.length);

const edits: fc.Arbitrary<Edit> = fc
  .oneof(
    { arbitrary: fc.tuple(place, letter), weight: 6 },
    { arbitrary: fc.tuple(place, fc.string({ maxLength: 5 }), fc.nat(8)), weight: 2 },
    { arbitrary: fc.tuple(place, place, fc.constant("swap" as const)), weight: 1 },
  )
  .map((edit): Edit => {
    const [part, what, more] = edit;
    if (more === "swap") {
      return (text) => {
        const [one, other] = [at(text, part), at(text, Number(what))].sort((a, b) => a - b);
        const [from = 0, to = 0] = [one, other];
        return text.slice(0, from) + text.slice(to) + text.slice(from, to);
      };
    }
    const removed = typeof more === "number" ? more : 1;
    return (text) => text.slice(0, at(text, part)) + what + text.slice(at(text, part) + removed);
  });

/** Bits of the JSON inside, so that it is still a token in form. */
const inside: fc.Arbitrary<Edit> = fc
  .tuple(
    fc.nat(1),
    place,
    fc.oneof(fc.string({ maxLength: 4 }), fc.constantFrom(...'{}[]",:0123456789eE-+.\\')),
    fc.nat(3),
  )
  .map(
    ([which, part, text, removed]): Edit =>
      (token) => {
        const parts = token.split(".");
        const json = Buffer.from(parts[which] ?? "", "base64url").toString();
        const from = at(json, part);
        parts[which] = Buffer.from(
          json.slice(0, from) + text + json.slice(from + removed),
        ).toString("base64url");
        return parts.join(".");
      },
  );

const mutation = fc
  .array(fc.oneof({ arbitrary: edits, weight: 3 }, { arbitrary: inside, weight: 2 }), {
    minLength: 1,
    maxLength: 3,
  })
  .map(
    (all): Edit =>
      (token) =>
        all.reduce((text, edit) => edit(text), token),
  );

describe.each(KEYS)("mutated tokens of $alg", ({ kid, alg }) => {
  // Those of RSA and ECDSA cost more.
  const numRuns = alg === "HS256" ? 100_000 : 20_000;

  test(`of ${numRuns} none is accepted, and none throws`, { timeout: 60_000 }, async () => {
    const tracker = jwtTracker({ keys: keysSignedBy(kid), issuer: ISSUER });
    const ctx = contextOf({});
    const { "session-id": token = "" } = (await tracker.present?.(SID, { secure: false })) ?? {};
    expect(await tracker.get(ctx, token)).toEqual({ id: SID });
    const reasons = new Set<string>();
    await fc.assert(
      fc.asyncProperty(mutation, async (mutate) => {
        const mutated = mutate(token);
        if (mutated === token || mutated === "") return;
        const tracked = await tracker.get(ctx, mutated);
        if (tracked === undefined || tracked.id !== undefined) throw new Error("it was accepted");
        reasons.add(tracked.refused);
      }),
      { numRuns },
    );
    // Those that keep the form get as far as the signature, which is where they end.
    expect([...reasons]).toEqual(expect.arrayContaining(["malformed", "header", "signature"]));
  });
});

test("of 3,000 mutated tokens over HTTP none is a session, and none a 500", {
  timeout: 60_000,
}, async () => {
  let loads = 0;
  const store = memoryStore();
  await using site = await tokenSite({
    wrap: () => ({
      ...store,
      load: (key) => {
        loads++;
        return store.load(key);
      },
    }),
  });
  const { token = "" } = await site.visitor().signIn();
  await fc.assert(
    fc.asyncProperty(mutation, async (mutate) => {
      // What a client can send as a header.
      const mutated = mutate(token).replaceAll(/[^\x21-\x7e]/g, "~");
      if (mutated === token) return;
      const { status, user } = await send(`${site.url}/`, { "Session-ID": mutated });
      expect([status, user]).toEqual([200, "nobody"]);
    }),
    { numRuns: 3_000 },
  );
  expect(loads).toBe(0);
  expect(site.errors).toEqual([]);
});
