import { inspect, isDeepStrictEqual } from "node:util";
import { describe, expect, test } from "vitest";
import { listen } from "../../session/test/site.ts";
import { contextOf } from "../../session/test/tracker-context.ts";
import { hostileSet, type Signer } from "./hostile-set.ts";
import { ANONYMOUS, refusedAs, TABLE } from "./table.ts";
import { send, tokenSite } from "./token-site.ts";
import { claimsAt, KEYS, keysSignedBy, payloadOf, TYP } from "./tokens.ts";

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
      // What makes the set hostile is what it differs by: without that it opens the session.
      for (const { kid, alg, key } of KEYS) {
        const claims = JSON.stringify(claimsAt(site.now(), sid));
        const genuine = await signer.sign({ alg, kid, typ: TYP }, claims, String(key));
        expect((await send(site.url, { "Session-ID": genuine })).user).toBe("ada");
      }

      const set = await hostileSet(signer, site.now(), sid);
      expect(new Set(set.map(({ what }) => what)).size).toBe(set.length);
      const wrong: unknown[] = [];
      const events: unknown[] = [];
      for (const { what, token, reason } of set) {
        heard.events.length = 0;
        const got = [
          await send(`${site.url}/`, { "Session-ID": token }),
          await send(`${site.url}/private`, { "Session-ID": token }),
        ].map(({ status, user, token: fresh, headers }) => ({
          status,
          user,
          token: fresh,
          challenge: headers["www-authenticate"],
        }));
        const socket = await site.sessions.receive(contextOf({}), token);
        const told = heard.events.map(({ name, event }) => [name, event.reason, event.level]);
        events.push(...heard.events);

        const { shown, level, closeCode } = TABLE[reason];
        const due = [strict ? refusedAs(reason) : ANONYMOUS, refusedAs(reason)];
        const differs = !isDeepStrictEqual(
          { got, socket, told },
          {
            got: due,
            socket: { reason: shown, closeCode },
            told: Array.from({ length: 3 }, () => ["refused", reason, level]),
          },
        );
        if (differs) wrong.push({ what, reason, got, socket, told });
      }
      expect(wrong).toEqual([]);

      expect((await ada.get("/")).user).toBe("ada");
      process.off("warning", onWarning);
      expect(events).toHaveLength(3 * set.length);
      const log = inspect([events, site.errors, warnings], {
        depth: null,
        maxArrayLength: null,
        maxStringLength: null,
      });
      const keys = KEYS.map(({ key }) => String(key).split("\n")[1] ?? String(key));
      const sent = set.flatMap(({ token }) => [token, ...token.split(".")]);
      const secrets = [...keys, sid, ...sent];
      expect(secrets.filter((secret) => secret.length > 4 && log.includes(secret))).toEqual([]);
    });
  });
};
