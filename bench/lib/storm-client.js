import { connect } from "@lanai/browser";
import { io } from "socket.io-client";
import { WebSocket } from "ws";

/** Short waits: what is spread over seconds for thousands of pages. */
const quick = {
  ...{ URL, crypto, performance, fetch, console: { error() {} } },
  ...{ setTimeout: (fn, ms) => setTimeout(fn, ms), clearTimeout: (it) => clearTimeout(it) },
  random: () => Math.random() / 20,
};

/** A page of @lanai/browser. It tells each number, and each gap. */
export const lanai = (port, n, shown) => {
  const cookie = `cid=${`tab${n}`.padEnd(43, "A")}`;
  class CookieSocket extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols, { headers: { cookie } });
    }
  }
  const line = connect(`ws://127.0.0.1:${port}/live`, {
    host: { ...quick, WebSocket: CookieSocket },
  });
  const room = line.join("news", {});
  room.on("item", ({ n: number }) => shown(number));
  room.on("gap", () => shown("gap"));
  return { joined: room.joined, close: () => line.close() };
};

/** A page of socket.io's client, which says whether it was recovered. */
export const socketIo = (port, _n, shown) => {
  const socket = io(`ws://127.0.0.1:${port}`, {
    ...{ transports: ["websocket"], forceNew: true },
    ...{ reconnectionDelay: 20, reconnectionDelayMax: 250, randomizationFactor: 0.5 },
  });
  let isFirst = true;
  const { promise: joined, resolve } = Promise.withResolvers();
  socket.on("connect", () => {
    if (!isFirst && !socket.recovered) shown("gap");
    isFirst = false;
    resolve();
  });
  socket.on("item", ({ n: number }) => shown(number));
  return { joined, close: () => socket.close() };
};
