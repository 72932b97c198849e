import { Browser } from "./lib/browser.js";
import { startVariant } from "./lib/child.js";
import { PORT } from "./lib/config.js";
import { isBare } from "./lib/variants.js";

/** What a variant does wrong, in words; nothing may be timed that does not work. */
const problemsOf = async (name, port) => {
  const browser = new Browser(port);
  const problems = [];
  const check = (holds, problem) => {
    if (!holds) problems.push(problem);
  };

  check((await browser.get("/plain")).body === "ok", "/plain did not answer");
  check(browser.cookies.size === 0, "a request that left the session alone was sent a cookie");
  if (isBare(name)) return problems;

  await browser.get("/login");
  check(browser.cookies.size > 0, "/login sent no cookie");
  const before = await browser.dump();
  check(Boolean(before.uid && before.prefs?.notes), "/login was not stored");
  check((await browser.get("/read")).body === before.name, "/read did not answer with the name");
  await browser.get("/write");
  const after = await browser.dump();
  check(after.n !== before.n && after.uid === before.uid, "/write was not stored");
  await browser.get("/logout");
  check((await browser.dump()).uid === undefined, "/logout did not end the session");
  return problems;
};

/** Tries each variant once. */
export const smoke = async (variants) => {
  const broken = [];
  for (const name of variants) {
    const server = await startVariant(name, PORT);
    try {
      for (const problem of await problemsOf(name, PORT)) broken.push(`${name}: ${problem}`);
    } finally {
      await server.stop();
    }
  }
  if (broken.length > 0) throw new Error(`These variants don't work:\n${broken.join("\n")}`);
};
