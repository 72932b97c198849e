import { setTimeout as sleep } from "node:timers/promises";
import { Browser, dumpOf, get } from "./lib/browser.js";
import { startVariant } from "./lib/child.js";
import { PORT } from "./lib/config.js";
import { table } from "./lib/text.js";
import { isBare, needsRedis } from "./lib/variants.js";

const DAY = 24 * 60 * 60 * 1000;

const signedIn = async () => {
  const browser = new Browser(PORT);
  await browser.get("/login");
  return browser;
};

const isSignedIn = (data) => data.uid !== undefined;

/** How many keys are left of `writers` requests that each read, waited and set a key of their own. */
const keysKept = async (writers) => {
  const browser = await signedIn();
  const { cookie } = browser;
  const write = async (i) => browser.apply(await get(PORT, `/slow?k=k${i}&ms=20`, cookie));
  await Promise.all(Array.from({ length: writers }, (_, i) => write(i)));
  return Object.keys(await browser.dump()).filter((key) => /^k\d+$/.test(key)).length;
};

/** A request that was under way during a logout sets something: who is signed in afterwards? */
const logoutBesideWriter = async () => {
  const browser = await signedIn();
  const { cookie } = browser;
  const writing = get(PORT, "/slow?k=late&ms=300", cookie);
  await sleep(100);
  await browser.get("/logout");
  browser.apply(await writing);
  return {
    browser: isSignedIn(await browser.dump()),
    oldCookie: isSignedIn(await dumpOf(PORT, cookie)),
  };
};

const replayAfterLogout = async () => {
  const browser = await signedIn();
  const { cookie } = browser;
  await browser.get("/logout");
  return isSignedIn(await dumpOf(PORT, cookie));
};

/** What is seen of a request that sets a key and fails, before and after it does. */
const failedWriter = async () => {
  const browser = await signedIn();
  const failing = browser.get("/boom?k=failed&ms=200");
  await sleep(100);
  const during = (await dumpOf(PORT, browser.cookie)).failed === 1;
  await failing;
  return { during, after: (await browser.dump()).failed === 1 };
};

const adoptsInventedId = async () => {
  const invented = `sid=${"invented".repeat(5)}AAA`;
  await get(PORT, "/login", invented);
  return isSignedIn(await dumpOf(PORT, invented));
};

/** Whether a session that may live for `lifetime` milliseconds is there after `wait`. */
const livesAfter = async (name, lifetime, wait) => {
  const server = await startVariant(name, PORT, { BENCH_LIFETIME: String(lifetime) });
  try {
    const browser = await signedIn();
    await sleep(wait);
    return isSignedIn(await dumpOf(PORT, browser.cookie));
  } finally {
    await server.stop();
  }
};

const repeat = async (times, probe) => {
  const results = [];
  for (let i = 0; i < times; i++) results.push(await probe());
  return results;
};

const probe = async (name, times) => {
  const server = await startVariant(name, PORT);
  try {
    return {
      two: await repeat(times, () => keysKept(2)),
      fifty: await repeat(times, () => keysKept(50)),
      logouts: await repeat(times, logoutBesideWriter),
      replayed: await replayAfterLogout(),
      failed: await failedWriter(),
      adopted: await adoptsInventedId(),
    };
  } finally {
    await server.stop();
  }
};

const lowest = (counts, of) => `${Math.min(...counts)}/${of}`;
const share = (results) => `${results.filter(Boolean).length}/${results.length}`;
const word = (answer) => (answer ? "yes" : "no");

const HEAD = [
  "variant",
  "kept of 2 writers",
  "of 50",
  "browser signed in again by a late writer",
  "old cookie works again",
  "old cookie works after a logout",
  "seen before a 500",
  "stored by a 500",
  "invented id adopted",
  "lives past its end",
  "30 days work",
];

/** What becomes of sessions when requests cross, fail or lie. */
export const correctness = async (variants, { times }) => {
  const data = {};
  for (const name of variants.filter((it) => !isBare(it) && !needsRedis(it))) {
    data[name] = {
      ...(await probe(name, times)),
      outlived: await livesAfter(name, 1000, 2500),
      thirtyDays: await livesAfter(name, 30 * DAY, 100),
    };
    console.error(`correctness ${name}`);
  }
  const rows = Object.entries(data).map(([name, it]) => [
    name,
    lowest(it.two, 2),
    lowest(it.fifty, 50),
    share(it.logouts.map(({ browser }) => browser)),
    share(it.logouts.map(({ oldCookie }) => oldCookie)),
    word(it.replayed),
    word(it.failed.during),
    word(it.failed.after),
    word(it.adopted),
    word(it.outlived),
    word(it.thirtyDays),
  ]);
  return {
    text: `Each race was run ${times} times; the worst counts.\n\n${table(HEAD, rows)}`,
    data,
  };
};
