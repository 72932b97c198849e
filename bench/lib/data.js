import { randomBytes, randomUUID } from "node:crypto";

/**
 * The session that every variant is given at login: five keys, about 500 bytes of JSON. Its strings
 * are made anew each time, so that a store that holds objects can't look small by sharing them.
 */
export const fiveKeys = () => ({
  uid: randomUUID(),
  name: `user-${randomBytes(8).toString("hex")}`,
  roles: ["editor", "billing", `team-${randomBytes(4).toString("hex")}`],
  prefs: {
    theme: "dark",
    locale: "en-GB",
    token: randomBytes(32).toString("hex"),
    notes: randomBytes(165).toString("base64"),
    seenAt: Date.now(),
  },
  n: 0,
});

let count = 0;

/** A number that was not there before: a write of it always changes something. */
export const nextNumber = () => ++count;
