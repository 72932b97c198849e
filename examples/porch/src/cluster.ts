// Runs the porch as three processes behind nginx: `REDIS_URL=redis://127.0.0.1 npm run cluster`.
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nginxConfig } from "./nginx-config.ts";

const { REDIS_URL, NATS_URL, PORT = "3000", NGINX = "nginx" } = process.env;
const RESTART = 1_000;

const complain = (sentence: string): never => {
  console.error(sentence);
  process.exit(1);
};
if (!REDIS_URL && !NATS_URL) {
  complain("Three processes need a common bus: set REDIS_URL or NATS_URL, as in the README.");
}
if (!/^\d{1,5}$/.test(PORT) || Number(PORT) < 1 || Number(PORT) > 65_535) {
  complain(`PORT must be a whole number from 1 to 65535, got ${JSON.stringify(PORT)}.`);
}

const folder = mkdtempSync(join(tmpdir(), "porch-"));
const children = new Map<number, ChildProcess>();
let isStopping = false;

/** One process of the app, on a socket of its own. It is started again if it ends. */
async function run(number: number): Promise<void> {
  const socket = join(folder, `${number}.sock`);
  rmSync(socket, { force: true });
  const child = fork(join(import.meta.dirname, "main.ts"), {
    env: { ...process.env, SOCKET: socket },
  });
  children.set(number, child);
  child.once("exit", (code, signal) => {
    if (isStopping) return;
    console.log(`Process ${number} has ended (${signal ?? code}); it starts again.`);
    setTimeout(() => !isStopping && void run(number), RESTART);
  });
  await Promise.race([once(child, "message"), once(child, "exit")]);
  if (child.exitCode === null) console.log(`Process ${number} is up, as ${child.pid}.`);
}

const numbers = [1, 2, 3];
await Promise.all(numbers.map(run));
const config = join(folder, "nginx.conf");
const sockets = numbers.map((number) => join(folder, `${number}.sock`));
writeFileSync(config, nginxConfig({ folder, port: Number(PORT), sockets }));

const nginx = spawn(NGINX, ["-c", config, "-p", folder, "-e", join(folder, "error.log")], {
  stdio: ["ignore", "ignore", "inherit"],
});
nginx.once("error", () => void stop("nginx was not found: install it, or set NGINX to its path."));
nginx.once("exit", () => {
  if (!isStopping) void stop("nginx has ended: it says above why.");
});
nginx.once("spawn", () => {
  console.log(`Three processes are behind nginx: http://localhost:${PORT}
Open a room in two browsers, and end one process by its number: nobody misses a message.
Ctrl+C stops all of them.`);
});

/** Ends nginx first, so that no tab is sent to a process that ends. */
async function stop(complaint?: string): Promise<void> {
  if (isStopping) return;
  isStopping = true;
  nginx.kill();
  const running = [...children.values()].filter((it) => it.exitCode === null && !it.signalCode);
  for (const child of running) child.kill("SIGTERM");
  await Promise.all(running.map((child) => once(child, "exit")));
  rmSync(folder, { recursive: true, force: true });
  if (complaint) complain(complaint);
  process.exit();
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void stop());
