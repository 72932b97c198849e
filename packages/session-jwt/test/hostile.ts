import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { listen } from "../../session/test/site.ts";
import { type Hostile, hostileSet, type Signer } from "./hostile-set.ts";
import { send, tokenSite } from "./token-site.ts";
import { claimsAt, keysSignedBy, payloadOf, SECRET, TYP } from "./tokens.ts";

/** Registers the hostile set, as another implementation signs it, over real HTTP. */
export const hostileTests = (signer: Signer): void => {
  describe.each([
    { mode: "soft", strict: false },
    { mode: "strict", strict: true },
  ])("the hostile set in $mode mode", ({ strict }) => {
    test(`each token of ${signer.name} gets its row of the table, and none a 500`, async () => {
      using heard = listen();
      const warnings: unknown[] = [];
      const onWarning = (warning: unknown) => void warnings.push(warning);
      process.on("warning", onWarning);
      await using site = await tokenSite({ keys: keysSignedBy("hs"), strict });
      const ada = await site.visitor().signIn();
      const sid = String(payloadOf(ada.token ?? "").sid);
      const genuine = await signer.sign(
        { alg: "HS256", kid: "hs", typ: TYP },
        JSON.stringify(claimsAt(site.now(), sid)),
        SECRET,
      );
      // What makes the set hostile is what it differs by: without that it opens the session.
      expect((await send(site.url, { "Session-ID": genuine })).user).toBe("ada");

      const set = await hostileSet(signer, site.now(), sid);
      expect(new Set(set.map(({ what }) => what)).size).toBe(set.length);
      const wrong: unknown[] = [];
      for (const hostile of set) {
        heard.events.length = 0;
        const answers = [
          await send(`${site.url}/`, { "Session-ID": hostile.token }),
          await send(`${site.url}/private`, { "Session-ID": hostile.token }),
        ];
        const got = answers.map(({ status, user, token, headers }) => ({
          status,
          user,
          token,
          challenge: headers["www-authenticate"],
        }));
        const reasons = heard.events.map(({ name, event }) => [name, event.reason, event.level]);
        const due = expected(hostile, strict);
        if (
          inspect([got, reasons], { depth: 9 }) !== inspect([due, reasonsOf(hostile)], { depth: 9 })
        ) {
          wrong.push({ what: hostile.what, got, reasons, due });
        }
      }
      expect(wrong).toEqual([]);

      expect((await ada.get("/")).user).toBe("ada");
      process.off("warning", onWarning);
      const log = inspect([heard.events, site.errors, warnings], { depth: 9 });
      for (const secret of [sid, SECRET, ...set.map(({ token }) => token)]) {
        if (secret.length > 4) expect(log).not.toContain(secret);
      }
    });
  });

  test(`two headers with different tokens of ${signer.name} are refused, not guessed`, async () => {
    await using site = await tokenSite({ keys: keysSignedBy("hs") });
    const [ada, bob] = [await site.visitor().signIn(), await site.visitor().signIn()];
    const both = { "Session-ID": [ada.token ?? "", bob.token ?? ""] };
    expect(await send(site.url, both)).toMatchObject({ status: 200, user: "nobody" });
  });
};

const LEVELS: Readonly<Record<string, string>> = {
  malformed: "info",
  "unknown-key": "info",
  expired: "info",
};

const reasonsOf = ({ reason }: Hostile) =>
  [1, 2].map(() => ["refused", reason, LEVELS[reason] ?? "warn"]);

const expected = ({ shown = "invalid" }: Hostile, strict: boolean) => {
  const refused = {
    status: 401,
    user: undefined,
    token: undefined,
    challenge: `Session realm="session", code="ERR_SESSION_REQUIRED", reason="${shown}"`,
  };
  const anonymous = { status: 200, user: "nobody", token: undefined, challenge: undefined };
  return [strict ? refused : anonymous, refused];
};
