import { cookieTracker, headerTracker, type Tracker } from "@lanai/session";
import { storeConformance, trackerConformance } from "@lanai/session/testing";
import { bearerTracker, jwtStore, jwtTracker } from "@lanai/session-jwt";
import { test } from "vitest";
import { koaVersions } from "../../session/test/koa-versions.ts";
import { ISSUER, SECRET } from "./tokens.ts";

/** What a client of a Bearer tracker sends after a response: the token that came in its header. */
const bearer = (response: Headers) => {
  const token = response.get("session-id");
  return token ? { headers: { authorization: `Bearer ${token}` } } : {};
};

for (const [version, App] of koaVersions) {
  const conform = (name: string, tracker: Tracker) =>
    trackerConformance({
      name: `${name}, ${version}`,
      test,
      createApp: () => new App(),
      open: () => ({ tracker, ...(tracker.challenge === "Bearer" && { answer: bearer }) }),
    });

  const options = { secret: SECRET, issuer: ISSUER };
  conform("jwtTracker in a header", jwtTracker(options));
  conform("jwtTracker as Bearer", jwtTracker({ ...options, carrier: bearerTracker() }));
  conform("jwtTracker in a cookie", jwtTracker({ ...options, carrier: cookieTracker() }));
  conform("jwtTracker, strict", jwtTracker({ ...options, strict: true }));
  conform("bearerTracker", bearerTracker());
}

trackerConformance({
  name: "jwtTracker in another header",
  test,
  open: () => ({
    tracker: jwtTracker({
      secret: SECRET,
      issuer: ISSUER,
      carrier: headerTracker({ name: "X-Token" }),
    }),
  }),
});

storeConformance({
  name: "jwtStore",
  test,
  open: () => {
    let now = Date.now();
    const store = jwtStore({
      secret: SECRET,
      issuer: ISSUER,
      expiresIn: 400 * 24 * 60 * 60_000,
      clock: () => now,
    });
    return {
      store,
      again: store,
      advance(ms) {
        now += ms;
      },
    };
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
