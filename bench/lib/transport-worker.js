// A process of compare-transports.js: publishes, or subscribes.
import { createHistogram } from "node:perf_hooks";

const { open } = await import(`../transports/${process.argv[2]}.js`);
const transport = await open();

const SUBJECT = "bench.topic";
const SIZE = 128;
const now = () => Number(process.hrtime.bigint());
const padding = "x".repeat(SIZE - JSON.stringify({ t: now(), s: 100_000, p: "" }).length);

let delays = createHistogram();
let got = 0;
let first = 0;
let last = 0;

const onData = (data) => {
  const at = now();
  if (got === 0) first = at;
  got += 1;
  last = at;
  delays.record(Math.max(1, at - data.t));
};

const turn = () => new Promise((resolve) => setImmediate(resolve));

const tasks = {
  subscribe: () => transport.subscribe(SUBJECT, onData),
  reset() {
    delays = createHistogram();
    got = 0;
  },
  figures: () => ({
    got,
    rate: got > 1 ? (got - 1) / ((last - first) / 1e9) : 0,
    p50: delays.percentile(50) / 1e3,
    p99: delays.percentile(99) / 1e3,
  }),
  /** As many as go, with two windows under way: one is published while the other is awaited. */
  async burst({ seconds, window }) {
    const end = now() + seconds * 1e9;
    let sent = 0;
    let before = Promise.resolve();
    while (now() < end) {
      for (let i = 0; i < window; i++) {
        transport.publish(SUBJECT, { t: now(), s: sent, p: padding });
        sent += 1;
      }
      const flushed = transport.flush();
      await before;
      before = flushed;
      await turn();
    }
    await before;
    return { sent };
  },
  /**
   * So many a second, in small groups, one in a millisecond. A message says when it was due, not
   * when its turn came: a publisher that is held up shows in how long all of its messages took. It
   * watches the clock without pause, because a timer is late by up to a millisecond.
   */
  async paced({ seconds, rate }) {
    const start = now();
    const lateness = createHistogram();
    let sent = 0;
    for (let tick = 1; tick <= seconds * 1e3; tick++) {
      const due = start + tick * 1e6;
      do await turn();
      while (now() < due);
      lateness.record(Math.max(1, now() - due));
      const all = Math.round((tick * rate) / 1e3);
      for (; sent < all; sent++) transport.publish(SUBJECT, { t: due, s: sent, p: padding });
    }
    await transport.flush();
    return { sent, late: lateness.percentile(99) / 1e3 };
  },
};

process.on("message", async ({ task, options }) =>
  process.send({ answer: await tasks[task](options) }),
);
process.on("disconnect", () => process.exit());
process.send({ ready: true });
