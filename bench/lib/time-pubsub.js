// A process of pubsub.js and growth.js: `publish <variant> <seconds>`, `match <variant> <subscriptions>` or
// `round <subscriptions>`, which needs --expose-gc.
import { EventEmitter } from "node:events";
import { createPubSub } from "@lanai/pubsub";
import { SubjectIndex } from "@lanai/pubsub/backend";
import eventemitter2 from "eventemitter2";
import { Qlobber } from "qlobber";

const SUBJECT = "chat.room.general";
const head = { user: "ada", at: 1_700_000_000_000, text: "" };
const value = { ...head, text: "x".repeat(128 - JSON.stringify(head).length) };

/** Of processor time, in milliseconds: what else runs on the machine matters less. */
const now = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

let got = 0;
const receive = (data) => {
  if (data.user === "ada") got += 1;
};

const emitter = (made) => ({
  subscribe: () => made.on(SUBJECT, (text) => receive(JSON.parse(text))),
  publish: () => made.emit(SUBJECT, JSON.stringify(value)),
});

const publishers = {
  eventemitter: () => emitter(new EventEmitter()),
  eventemitter2: () => emitter(new eventemitter2.EventEmitter2({ wildcard: true })),
  lanai() {
    const bus = createPubSub();
    return {
      subscribe: () => bus.subscribe(SUBJECT, receive),
      publish: () => bus.publish(SUBJECT, value),
    };
  },
};

/** Publishes a second, one awaited in each 256 so that the event loop turns; all must arrive. */
const publish = async (name, seconds) => {
  const { subscribe, publish } = publishers[name]();
  await subscribe();
  const run = async (ms) => {
    const start = now();
    let sent = 0;
    got = 0;
    while (now() - start < ms) {
      for (let i = 0; i < 255; i++) publish();
      await publish();
      sent += 256;
    }
    const rate = sent / ((now() - start) / 1000);
    if (got !== sent) throw new Error(`${name} has lost ${sent - got} messages`);
    return rate;
  };
  await run(500);
  return { rate: await run(seconds * 1000) };
};

/** Each adds a pattern of NATS under a value, takes it out, and counts what matches a subject. */
const matchers = {
  lanai() {
    const index = new SubjectIndex();
    return {
      add: (pattern, i) => index.add(pattern, i),
      remove: (pattern, i) => index.delete(pattern, i),
      match: (subject) => index.match(subject).length,
    };
  },
  qlobber() {
    const index = new Qlobber({ separator: ".", wildcard_one: "*", wildcard_some: "\0" });
    // Its wildcard for some words stands for none, too.
    const own = (pattern) => pattern.replace(/(^|\.)>$/, "$1*.\0");
    return {
      add: (pattern, i) => index.add(own(pattern), i),
      remove: (pattern, i) => index.remove(own(pattern), i),
      match: (subject) => index.match(subject).length,
    };
  },
  eventemitter2() {
    const made = new eventemitter2.EventEmitter2({ wildcard: true, maxListeners: 0 });
    let matched = 0;
    const listeners = new Map();
    const own = (pattern) => pattern.replace(/(^|\.)>$/, "$1*.**").split(".");
    return {
      add(pattern, i) {
        const listener = () => {
          matched += 1;
        };
        listeners.set(i, listener);
        made.on(own(pattern), listener);
      },
      remove: (pattern, i) => made.off(own(pattern), listeners.get(i)),
      match(subject) {
        matched = 0;
        made.emit(subject.split("."));
        return matched;
      },
    };
  },
};

const random = (seed) => () => {
  seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff;
  return seed / 0x80000000;
};

/** `app.<room>.<kind>.<user>`: a fifth `*`, a tenth `>`, and with `wildcards` all of them. */
const workload = (count, wildcards) => {
  const next = random(7);
  const token = (n) => Math.floor(next() * n).toString(36);
  const literal = () => `app.${token(2000)}.${token(10)}.${token(count)}`;
  const patterns = Array.from({ length: count }, () => {
    const [a, b, c, d] = literal().split(".");
    const kind = wildcards ? 0.7 + next() * 0.3 : next();
    if (kind < 0.7) return [a, b, c, d].join(".");
    if (kind < 0.9) return next() < 0.5 ? `${a}.*.${c}.${d}` : `${a}.${b}.*.${d}`;
    return `${a}.${b}.${c}.>`;
  });
  return { patterns, subjects: Array.from({ length: 200_000 }, literal) };
};

const match = (name, count, wildcards) => {
  const { patterns, subjects } = workload(count, wildcards);
  const matcher = matchers[name]();
  patterns.forEach(matcher.add);
  let matched = 0;
  const pass = (end) => {
    const start = now();
    matched = 0;
    for (let i = 0; i < end; i++) matched += matcher.match(subjects[i]);
    return end / ((now() - start) / 1000);
  };
  pass(20_000);
  const rate = Math.max(...Array.from({ length: 5 }, () => pass(subjects.length)));
  // Beside all the others: those of a visitor who comes and goes.
  const visits = name === "eventemitter2" ? 100 : 20_000;
  const extra = workload(visits, wildcards).patterns.map((it) => `new.${it}`);
  const time = (work) => {
    const start = now();
    for (const [i, pattern] of extra.entries()) work(pattern, count + i);
    return ((now() - start) / visits) * 1000;
  };
  const add = [];
  const remove = [];
  for (let i = 0; i < 5; i++) {
    add.push(time(matcher.add));
    remove.push(time(matcher.remove));
  }
  return { rate, matched, add: Math.min(...add), remove: Math.min(...remove) };
};

const heapUsed = () => {
  globalThis.gc();
  return process.memoryUsage().heapUsed;
};

/** Rounds without a collection in between: what they allocate fits the young generation. */
const ROUNDS = 200;

/**
 * On a bus that has `count` subscriptions, each of a subject of its own: what a round of subscribe,
 * publish and unsubscribe takes and allocates, what a publish does, and what holds each subscription.
 */
const round = async (count) => {
  const bus = createPubSub();
  const before = heapUsed();
  for (let i = 0; i < count; i++) await bus.subscribe(`app.room${i}.said`, receive);
  const held = (heapUsed() - before) / count;
  const subject = `app.room${count >> 1}.said`;
  const all = async () => {
    const subscription = await bus.subscribe(subject, receive);
    await bus.publish(subject, value);
    await subscription.unsubscribe();
  };
  const publish = () => bus.publish(subject, value);
  // A collection of a large heap takes long, and a median needs few.
  const passes = count > 10_000 ? 20 : 60;
  const measure = async (work) => {
    const times = [];
    const bytes = [];
    for (let pass = 0; pass < passes; pass++) {
      const free = heapUsed();
      const start = now();
      for (let i = 0; i < ROUNDS; i++) await work();
      times.push(((now() - start) / ROUNDS) * 1000);
      bytes.push((process.memoryUsage().heapUsed - free) / ROUNDS);
    }
    const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];
    return { micros: median(times.slice(5)), bytes: median(bytes.slice(5)) };
  };
  return { subscriptions: count, held, all: await measure(all), publish: await measure(publish) };
};

const [, , task, name, size, wildcards] = process.argv;
const tasks = {
  publish: () => publish(name, Number(size)),
  match: () => match(name, Number(size), wildcards === "wildcards"),
  round: () => round(Number(name)),
};
process.send(await tasks[task]());
