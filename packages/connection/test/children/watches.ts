import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { watchdog } from "@lanai/connection/deadline";

/**
 * Pings a peer, and prints "alive" after two answers, or "dead". The peer is in this process, so that
 * a busy machine delays both. If the second argument is "stops", the peer misses the first ping alone,
 * and the process tells its parent, at the port of the first argument, and stops itself; else the peer
 * misses all.
 */
const [port, kind] = process.argv.slice(2);
const PING = "ping";
const missed = kind === "stops" ? 1 : Infinity;

let heard = 0;
const peer = createServer((socket) => {
  socket.on("data", ({ length }) => {
    heard += length / PING.length;
    if (heard > missed) socket.write("pong");
  });
});
peer.listen(0, "127.0.0.1");
await once(peer, "listening");

const parent = connect(Number(port), "127.0.0.1");
const socket = connect((peer.address() as AddressInfo).port, "127.0.0.1");
await Promise.all([once(parent, "connect"), once(socket, "connect")]);

const end = (outcome: string): void => {
  process.stdout.write(JSON.stringify({ outcome, ms: performance.now() }));
  process.exit();
};

let pings = 0;
let answers = 0;
const dog = watchdog({
  interval: 500,
  probe() {
    socket.write(PING);
    pings += 1;
    if (pings > 1 || kind !== "stops") return;
    parent.write("question");
    process.kill(process.pid, "SIGSTOP");
  },
  onDead: () => end("dead"),
});
socket.on("data", () => {
  dog.heard();
  answers += 1;
  if (answers === 2) end("alive");
});
