import { startPinned } from "./lib/child.js";
import { fixed, table } from "./lib/text.js";

/** Peers whose stores can be filled without HTTP; the others keep sessions in the cookie. */
const PEERS = [
  "koa-session-mem",
  "koa-generic-session-mem",
  "koa-session-minimal-mem",
  "express-session-mem",
  "express-memorystore",
];
const LIFETIME = 5_000;

const megabytes = (bytes) => fixed(bytes / 1e6);

const fill = async (script, args) => {
  const child = await startPinned(script, args, {
    nodeArgs: ["--expose-gc", "--max-old-space-size=8192"],
    env: { BENCH_LIFETIME: String(LIFETIME) },
  });
  await child.stop();
  console.error(`memory ${args.join(" ")}`);
  return child.first;
};

const ours = async (sessions, expiry) => {
  const it = await fill("fill-ours.js", [String(sessions), String(expiry)]);
  const perSession = it.heap / it.sessions;
  const own = it.ownData / it.sessions;
  return {
    data: it,
    text: [
      `### lanai-mem, ${it.sessions.toLocaleString("en")} live sessions of five short keys`,
      "",
      `- ${fixed(perSession)} bytes of heap for each, ${fixed(perSession - own)} over its own ${fixed(own)} of names and values; target under 1,000: ${perSession - own < 1000 ? "met" : "missed"}`,
      `- heap in all: ${megabytes(it.heap)} MB; resident: ${megabytes(it.resident)} MB`,
      `- longest stall of the event loop while all expire: ${fixed(it.stall, 1)} ms; target at most 20: ${it.stall <= 20 ? "met" : "missed"}`,
      `- heap after they expired: ${megabytes(it.heapAfter)} MB, ${it.left} sessions left, after ${fixed(it.expiringFor / 1000)} s`,
    ].join("\n"),
  };
};

const compared = async (sessions, expiry, variants) => {
  const args = [String(sessions), String(expiry)];
  const data = { "lanai-mem": await fill("fill-ours.js", [...args, "500-bytes"]) };
  for (const name of PEERS.filter((it) => variants.includes(it))) {
    data[name] = await fill("fill-peer.js", [...args, name]);
  }
  const head = ["variant", "bytes/session", "heap MB", "after expiry", "left", "longest stall ms"];
  const rows = Object.entries(data).map(([name, it]) => [
    name,
    fixed(it.heap / it.sessions),
    megabytes(it.heap),
    megabytes(it.heapAfter),
    String(it.left),
    fixed(it.stall, 1),
  ]);
  const text = `### ${sessions.toLocaleString("en")} sessions of about 500 bytes\n\n${table(head, rows)}`;
  return { data, text };
};

/** What sessions take in memory, and how long the process stands still when all of them expire. */
export const memory = async (variants, { sessions, compare, expiry }) => {
  const own = await ours(sessions, expiry);
  const beside = await compared(compare, expiry, variants);
  return {
    text: `${own.text}\n\n${beside.text}`,
    data: { ours: own.data, compared: beside.data },
  };
};
