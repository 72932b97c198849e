// Many tabs in one process, for `tabs.js`: each is joined, and counts what it receives.
import { WebSocket } from "ws";

const [name, port, from, count] = process.argv.slice(2);

/** How a tab of each server connects: its path, what it says when, and what is an item. */
const KINDS = {
  lanai: {
    path: "/live",
    protocols: ["lanai.channels.2"],
    answers: [[/"t":"welcome"/, JSON.stringify({ t: "join", p: "news", a: {} })]],
    joined: /"t":"joined"/,
    item: /"t":"event"/,
  },
  "lanai-session": {
    path: "/live",
    protocols: [],
    answers: [],
    joined: undefined,
    item: /"event":"item"/,
    signsIn: true,
  },
  "socket.io": {
    path: "/socket.io/?EIO=4&transport=websocket",
    protocols: [],
    answers: [
      [/^0/, "40"],
      [/^2/, "3"],
    ],
    joined: /^40/,
    item: /^42/,
  },
  ws: { path: "/", protocols: [], answers: [], joined: undefined, item: /"item"/ },
};

const { path, protocols, answers, joined, item, signsIn } = KINDS[name];
let received = 0;
let expected = Number.POSITIVE_INFINITY;

const signIn = async (n, headers) => {
  const response = await fetch(`http://127.0.0.1:${port}/sign-in?user=user${n}`, { headers });
  const cookies = response.headers.getSetCookie().map((it) => it.split(";")[0]);
  return { cookie: [headers.cookie, ...cookies].join("; ") };
};

const open = async (n) => {
  const browser = { cookie: `cid=${`tab${n}`.padEnd(43, "A")}` };
  const headers = signsIn ? await signIn(n, browser) : browser;
  await new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, {
      ...{ headers, perMessageDeflate: false },
    });
    socket.on("error", reject);
    if (joined === undefined) socket.on("open", resolve);
    socket.on("message", (data) => {
      const text = String(data);
      for (const [when, answer] of answers) if (when.test(text)) socket.send(answer);
      if (joined?.test(text)) resolve();
      if (!item.test(text)) return;
      received += 1;
      if (received === expected) process.send("received");
    });
  });
};

process.on("message", ({ rounds }) => {
  received = 0;
  expected = rounds * Number(count);
  process.send("ready");
});

for (let n = 0; n < Number(count); n += 50) {
  const some = Array.from({ length: Math.min(50, Number(count) - n) }, (_, i) => n + i);
  await Promise.all(some.map((it) => open(Number(from) + it)));
}
process.send("open");
