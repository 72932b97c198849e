import { memoryStore } from "@lanai/session";
import { jwtTracker } from "@lanai/session-jwt";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isLong } from "../../../scripts/testing/chance.ts";
import { contextOf } from "../../session/test/tracker-context.ts";
import { send, tokenSite } from "./token-site.ts";
import { ISSUER, KEYS, keysSignedBy, SID } from "./tokens.ts";

const BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

type Edit = (text: string) => string;

/** Where an edit is, as a part of 2³¹ of the length; without the bias of fast-check to the edges. */
const place = fc.noBias(fc.nat(2 ** 31 - 1));
const letter = fc.constantFrom(...BASE64URL, ".", "=", " ", "~", "%");
const at = (text: string, part: number) => Math.floor((part / 2 ** 31) * text.length);

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

/** The first place at which two texts differ. */
const firstDifference = (one: string, other: string): number => {
  let place = 0;
  while (one[place] === other[place]) place++;
  return place;
};

describe.each(KEYS)("mutated tokens of $alg", ({ kid, alg }) => {
  // Those of RSA and ECDSA cost more.
  const all = alg === "HS256" ? 100_000 : 40_000;
  const count = isLong ? all : 4_000;

  test(`of ${count} different ones none is accepted, and none throws`, async () => {
    const tracker = jwtTracker({ keys: keysSignedBy(kid), issuer: ISSUER });
    const ctx = contextOf({});
    const { "session-id": token = "" } = (await tracker.present?.(SID, { secure: false })) ?? {};
    expect(await tracker.get(ctx, token)).toMatchObject([{ id: SID }]);
    const mutants = new Set<string>();
    const places = new Set<number>();
    const reasons = new Set<string>();
    await fc.assert(
      fc.asyncProperty(mutation, async (mutate) => {
        const mutated = mutate(token);
        if (mutated === token || mutated === "") return;
        mutants.add(mutated);
        places.add(firstDifference(mutated, token));
        const [tracked] = await tracker.get(ctx, mutated);
        if (tracked === undefined || tracked.id !== undefined) throw new Error("it was accepted");
        reasons.add(tracked.refused);
      }),
      // Some come twice.
      { numRuns: count + count / 5 },
    );
    expect(mutants.size).toBeGreaterThanOrEqual(count);
    const untouched = Array.from(token, (_, place) => place).filter((place) => !places.has(place));
    // Thousands leave some place alone by chance.
    if (isLong) expect(untouched).toEqual([]);
    // Those that keep the form get as far as the signature, which is where they end.
    const ends = ["malformed", "header", "unknown-key", "algorithm", "signature"];
    expect([...reasons].sort()).toEqual(ends.sort());
  });
});

test("a mutated token over HTTP is no session, and no 500", async () => {
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
    { numRuns: isLong ? 3_000 : 300 },
  );
  expect(loads).toBe(0);
  expect(site.errors).toEqual([]);
});
