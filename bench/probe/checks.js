import { Visitor } from "./visitor.js";

const ROUNDS = 10;

/** Gates are for one round each. */
let rounds = 0;
const gateNames = () => {
  rounds++;
  return [`first ${rounds}`, `second ${rounds}`];
};

const YES = { grade: "yes" };
const no = (detail) => ({ grade: "no", detail });

/** Whether a round holds each time, in each order in which two requests can go on. */
const eachTime = async (round) => {
  for (let n = 0; n < ROUNDS; n++) {
    const problem = await round(["both", "first", "second"][n % 3]);
    if (problem) return no(problem);
  }
  return YES;
};

/** Two requests that have both loaded the session go on: at once, or one after the other. */
const twoAtOnce = async (at, visitor, steps, order) => {
  const names = gateNames();
  const playing = names.map((name, n) =>
    visitor.copy().play(["get", "user"], ["gate", name], ...steps[n]),
  );
  await at.gates.reached(...names);
  if (order === "both") at.gates.open(...names);
  else {
    const [now, later] = order === "first" ? [0, 1] : [1, 0];
    at.gates.open(names[now]);
    await playing[now];
    at.gates.open(names[later]);
  }
  return Promise.all(playing);
};

const signedIn = async (at, user = "ada") => {
  const visitor = new Visitor(at.port);
  await visitor.play(["login", user]);
  return visitor;
};

const updates = (at) =>
  eachTime(async (order) => {
    const ada = await signedIn(at);
    const sets = [[["set", "a", 1]], [["set", "b", 2]]];
    const responses = await twoAtOnce(at, ada, sets, order);
    // A session that is in the cookie is what arrived last.
    for (const { given } of responses) {
      for (const [name, value] of given.cookies) ada.cookies.set(name, value);
    }
    const { a, b } = (await ada.ask(["all"])) ?? {};
    if (a === 1 && b === 2) return undefined;
    return "of two requests that set different keys at the same time, one loses its change";
  });

const logout = (at) =>
  eachTime(async () => {
    const ada = await signedIn(at);
    const before = ada.copy();
    const [name] = gateNames();
    const writing = ada.copy().play(["get", "user"], ["gate", name], ["set", "late", 1]);
    await at.gates.reached(name);
    await ada.play(["logout"]);
    at.gates.open(name);
    const { given } = await writing;
    for (const [cookie, value] of given.cookies) ada.cookies.set(cookie, value);
    if ((await ada.ask(["user"])) === "ada") {
      return "a request that was under way during the sign-out signs the browser in again";
    }
    if ((await before.ask(["user"])) === "ada") {
      return "after the sign-out the old cookie opens the session again";
    }
    return undefined;
  });

const replay = async (at) => {
  const ada = await signedIn(at);
  const copied = ada.copy();
  await ada.play(["logout"]);
  const isOpen = (await copied.ask(["user"])) === "ada";
  return isOpen ? no("a cookie that was copied before the sign-out still opens the session") : YES;
};

const fixation = async (at) => {
  const opensBySeenCookie = async (...steps) => {
    const visitor = new Visitor(at.port);
    await visitor.play(["set", "cart", 1]);
    const seen = visitor.copy();
    await visitor.play(...steps, ["login", "ada"]);
    return (await seen.ask(["user"])) === "ada";
  };
  if (!(await opensBySeenCookie())) return YES;
  const detail = "whoever saw the cookie before the sign-in is signed in with it";
  if (!(await canRenew(at))) return no(detail);
  if (await opensBySeenCookie(["renew"])) return no(`${detail}, although the app renewed the id`);
  return { grade: "if asked", detail: `${detail}, unless the app renews the id itself` };
};

const canRenew = async (at) => (await (await signedIn(at)).ask(["canRenew"])) === true;

const letter = (text) => {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  return letters[(letters.indexOf(text) + 7) % letters.length] ?? text;
};

/** Values that no server gave, in the form of one that it did. */
const invented = (value) => [
  value.replaceAll(/[A-Za-z0-9]/g, letter),
  value.slice(0, -1) + letter(value.at(-1) ?? "a"),
  letter(value[0] ?? "a") + value.slice(1),
  "invented".repeat(5),
];

const adoption = async (at) => {
  const stranger = new Visitor(at.port);
  await stranger.play(["set", "cart", 1]);
  const { cookies } = stranger;
  // The id first: what signs it, if anything does, comes after it.
  const [[idCookie, id] = []] = cookies;
  if (idCookie === undefined) return YES;
  for (const form of invented(id)) {
    const chosen = new Map([...cookies, [idCookie, form]]);
    const victim = new Visitor(at.port, new Map(chosen));
    await victim.play(["login", "ada"]);
    const attacker = new Visitor(at.port, new Map(chosen));
    if ((await attacker.ask(["user"])) === "ada") {
      return no("a visitor who comes with an id that an attacker chose keeps it at the sign-in");
    }
  }
  return YES;
};

const renewal = async (at) => {
  const canAsk = await canRenew(at);
  const steps = canAsk ? [["renew"], ["login", "eve"]] : [["login", "eve"]];
  return eachTime(async () => {
    const ada = await signedIn(at);
    const [name] = gateNames();
    const begun = ada
      .copy()
      .play(["get", "user"], ["gate", name], ["user"], ["set", "late", "ada's"]);
    await at.gates.reached(name);
    const renewed = ada.copy();
    await renewed.play(...steps);
    at.gates.open(name);
    const { given, results } = await begun;
    if (results[2] === "eve") return "it sees the data of the user who signed in after it began";
    if (given.cookies.size > 0 && (await given.ask(["user"])) === "eve") {
      return "its response carries the cookie of the user who signed in after it began";
    }
    const { late } = (await renewed.ask(["all"])) ?? {};
    if (late !== undefined) return "what it sets lands in the session of the next user";
    return undefined;
  });
};

const flash = (at) =>
  eachTime(async (order) => {
    const ada = await signedIn(at);
    await ada.play(["leaveFlash", "saved"]);
    const responses = await twoAtOnce(at, ada, [[["takeFlash"]], [["takeFlash"]]], order);
    const times = responses.flatMap(({ results }) => results.at(-1) ?? []).length;
    return times === 1 ? undefined : `two requests at the same time show a message ${times} times`;
  });

const isolation = async (at) => {
  const ada = await signedIn(at);
  const [name] = gateNames();
  const failing = ada.copy().play(["set", "draft", 1], ["gate", name], ["fail"]);
  await at.gates.reached(name);
  const { draft } = (await ada.ask(["all"])) ?? {};
  at.gates.open(name);
  await failing;
  return draft === undefined ? YES : no("another request sees what this one hasn't stored");
};

/** Calls of the store that one request makes. */
const callsOf = async (at, visitor, ...steps) => {
  at.seen.calls = 0;
  await visitor.play(...steps);
  return at.seen.calls;
};

const roundTrips = async (at) => {
  if (!at.seen.isWatching)
    return { grade: "not counted", detail: "the module doesn't watch a store" };
  const ada = await signedIn(at);
  const counts = {
    stranger: await callsOf(at, new Visitor(at.port)),
    untouched: await callsOf(at, ada.copy()),
    read: await callsOf(at, ada.copy(), ["get", "user"]),
    write: await callsOf(at, ada.copy(), ["set", "n", 1]),
  };
  return { grade: Object.values(counts).join(", "), detail: "calls of the store", counts };
};

/** What is probed, in the order of the report. */
export const CHECKS = {
  updates: ["of two requests that set different keys both win", updates],
  logout: ["a request that was under way can't undo a logout", logout],
  replay: ["a cookie copied before the logout opens nothing after it", replay],
  fixation: ["a sign-in gives the session a new id", fixation],
  adoption: ["an id that the client made up is not adopted", adoption],
  renewal: ["a request that began before another user's sign-in gets nothing of it", renewal],
  flash: ["of two readers one shows a flash message", flash],
  isolation: ["what isn't stored yet is seen by its own request only", isolation],
  roundTrips: ["calls of the store: no cookie, left alone, one read, one write", roundTrips],
};

/** Whether the set-up keeps a session at all; what doesn't work isn't graded. */
export const smoke = async (at) => {
  const visitor = new Visitor(at.port);
  const { status } = await visitor.play(["login", "ada"], ["set", "n", 1]);
  const data = status === 200 ? await visitor.ask(["all"]) : undefined;
  const user = await visitor.ask(["user"]);
  if (user === "ada" && data?.n === 1) return;
  throw new Error(
    `The set-up keeps no session: after a request that set two values (status ${status}) the next one ` +
      `found ${JSON.stringify({ user, ...data })}.`,
  );
};
