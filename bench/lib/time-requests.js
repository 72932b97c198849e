// Times requests without sockets: `node time-requests.js <variant> <scenarios>`.
import { IncomingMessage, ServerResponse } from "node:http";
import { Writable } from "node:stream";
import { SCENARIOS } from "./scenarios.js";
import { median } from "./text.js";
import { isBare, loadVariant } from "./variants.js";

const SESSIONS = 256;
/**
 * Of so many rounds of so many requests the first are to warm up. Not of so much time: on a busy machine
 * that would be too few requests for the compiler.
 */
const ROUNDS = 45;
const REQUESTS = 2_000;
const WARM_UP = 15;

/** As much of a socket as a response asks for. */
class Nowhere extends Writable {
  _write(_chunk, _encoding, done) {
    done();
  }
  setTimeout() {}
  destroySoon() {}
}

const socket = new Nowhere();
// Each response listens while it is written.
socket.setMaxListeners(0);

const request = (callback, path, cookie) =>
  new Promise((resolve) => {
    const req = new IncomingMessage(socket);
    Object.assign(req, { method: "GET", url: path, httpVersionMajor: 1, httpVersionMinor: 1 });
    req.headers = cookie ? { host: "localhost", cookie } : { host: "localhost" };
    const res = new ServerResponse(req);
    res.assignSocket(socket);
    res.once("finish", () => {
      res.detachSocket(socket);
      resolve(res);
    });
    callback(req, res);
  });

const cookiesOf = async (name, callback) => {
  const cookies = [];
  for (let i = 0; i < SESSIONS; i++) {
    if (isBare(name)) {
      cookies.push(`sid=${"0123456789abcdef".repeat(3)}${i}`);
      continue;
    }
    const lines = (await request(callback, "/login")).getHeader("set-cookie");
    cookies.push(
      [lines]
        .flat()
        .map((line) => line.split(";")[0])
        .join("; "),
    );
  }
  return cookies;
};

const time = async (callback, { path, cookies: wanted }, cookies) => {
  const rounds = [];
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    for (let n = 0; n < REQUESTS; n++) {
      await request(callback, path, wanted ? cookies[n % SESSIONS] : undefined);
    }
    const { user, system } = process.cpuUsage(before);
    if (round >= WARM_UP) rounds.push((user + system) / REQUESTS);
  }
  return median(rounds);
};

const measure = async (name, scenarios) => {
  const { callback } = await (await loadVariant(name))();
  const handle = callback();
  const cookies = await cookiesOf(name, handle);
  const micros = {};
  for (const scenario of scenarios) {
    micros[scenario] = await time(handle, SCENARIOS[scenario], cookies);
  }
  return micros;
};

const [name, scenarios] = process.argv.slice(2);
measure(name, scenarios).then(
  (micros) => process.send(micros),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
