import { execFileSync } from "node:child_process";
import { chownSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { Client } from "pg";
import { programPath } from "../servers.js";
import { onFreePort, ServerProcess, temporaryFolder } from "./server-process.ts";

export interface PostgresOptions {
  /** Settings of postgresql.conf. Default: none. */
  readonly settings?: Readonly<Record<string, string>>;
  /** The server that it follows as a hot standby, until `SELECT pg_promote()`. Default: none. */
  readonly standbyOf?: PostgresServer;
}

/** A private PostgreSQL on loopback, which keeps its data until `stop`. */
export interface PostgresServer extends AsyncDisposable {
  readonly port: number;
  readonly host: string;
  /** What a `pg.Pool` connects with, as the superuser. */
  readonly connection: Readonly<{ host: string; port: number; user: string; database: string }>;
  /**
   * Ends it and all its connections at once, as a crash would; what was committed stays. `SIGQUIT`
   * is an immediate shutdown, `SIGINT` a fast one. Default: `SIGKILL`.
   */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again on the same port and data; kills it before if it runs. */
  restart(): Promise<void>;
  /** Stops it without an end: connections stay open, nothing is answered. */
  freeze(): Promise<void>;
  thaw(): void;
  /** Ends it and removes its files. */
  stop(): Promise<void>;
}

const INITDB_TIMEOUT = 60_000;
const RESTART_TIMEOUT = 60_000;

/** PostgreSQL refuses to run as root: whom it runs as then, the package's user or nobody. */
export const unprivileged = (): { uid: number; gid: number } | undefined => {
  if (process.getuid?.() !== 0) return undefined;
  const idOf = (user: string, which: "-u" | "-g") =>
    Number(execFileSync("id", [which, user], { stdio: ["ignore", "pipe", "ignore"] }));
  for (const user of ["postgres", "nobody"]) {
    try {
      return { uid: idOf(user, "-u"), gid: idOf(user, "-g") };
    } catch {}
  }
  throw new Error("PostgreSQL refuses to run as root, and there is no user postgres or nobody");
};

export const startPostgres = (options: PostgresOptions = {}): Promise<PostgresServer> =>
  onFreePort((port) => start(port, options));

const start = async (port: number, options: PostgresOptions): Promise<PostgresServer> => {
  const host = "127.0.0.1";
  const user = unprivileged();
  const folder = temporaryFolder("postgres");
  if (user) chownSync(folder.path, user.uid, user.gid);
  const data = join(folder.path, "data");
  const settings = Object.entries({
    listen_addresses: host,
    port: `${port}`,
    unix_socket_directories: "",
    max_connections: "200",
    ...options.settings,
  });
  const server = new ServerProcess({
    program: "postgres",
    folder: folder.path,
    ready: /database system is ready to accept (?:read-only )?connections/,
    args: ["-D", data, ...settings.flatMap(([name, value]) => ["-c", `${name}=${value}`])],
    ...user,
  });
  try {
    const [program, ...args] = options.standbyOf
      ? [
          ...["pg_basebackup", "-D", data, "-U", "lanai", "-h", host],
          ...["-p", `${options.standbyOf.port}`, "-R", "--checkpoint=fast", "--no-sync"],
        ]
      : ["initdb", "-D", data, ..."-U lanai -A trust -E UTF8 --locale=C --no-sync".split(" ")];
    execFileSync(programPath(program as string), args, {
      ...user,
      cwd: folder.path,
      stdio: "pipe",
      timeout: INITDB_TIMEOUT,
    });
    await server.start();
  } catch (error) {
    folder.remove();
    throw error;
  }
  const connection = { host, port, user: "lanai", database: "postgres" };

  /** The server's first process, which lets new connections in. */
  const main = () => Number(readFileSync(join(data, "postmaster.pid"), "utf8").split("\n")[0]);

  // Each connection has a process, and each of these is a process group of its own.
  const backends = async (): Promise<number[]> => {
    const client = new Client({ ...connection, connectionTimeoutMillis: 10_000 });
    await client.connect();
    const { rows } = await client.query(
      "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
    );
    await client.end();
    return rows.map(({ pid }) => pid);
  };

  const send = (pid: number, signal: NodeJS.Signals) => {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended since.
    }
  };

  let frozen: number[] = [];
  const thaw = () => {
    for (const pid of frozen) send(pid, "SIGCONT");
    frozen = [];
    process.off("exit", thaw);
  };

  const kill = async (signal: NodeJS.Signals = "SIGKILL") => {
    thaw();
    // The first process can't end the others when it is killed: they would answer for a while yet.
    const others = signal === "SIGKILL" ? await backends().catch(() => []) : [];
    const ended = server.kill(signal);
    for (const pid of others) send(pid, "SIGKILL");
    await ended;
  };

  /** An immediate shutdown: it ends all of its processes before itself. */
  const stop = async () => {
    await kill("SIGQUIT");
    folder.remove();
  };

  return {
    port,
    host,
    connection,
    kill,
    async restart() {
      await kill();
      const deadline = Date.now() + RESTART_TIMEOUT;
      for (;;) {
        try {
          return await server.start();
        } catch (error) {
          // What the killed server left behind goes by itself, but not at once.
          if (Date.now() > deadline) throw error;
          await wait(50);
        }
      }
    },
    async freeze() {
      frozen = [main(), ...(await backends())];
      process.once("exit", thaw);
      for (const pid of frozen) send(pid, "SIGSTOP");
    },
    thaw,
    stop,
    [Symbol.asyncDispose]: stop,
  };
};
