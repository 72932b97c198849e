import { execFileSync } from "node:child_process";
import { chownSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { programPath } from "../servers.js";
import { type PostgresServer, unprivileged } from "./postgres.ts";
import { onFreePort, ServerProcess, temporaryFolder } from "./server-process.ts";

export interface PgbouncerOptions {
  readonly server: PostgresServer;
  readonly poolMode: "session" | "transaction";
  /** More lines of its configuration. Default: none. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A private PgBouncer on loopback, which has two connections to the server. */
export interface Pgbouncer extends AsyncDisposable {
  readonly port: number;
}

/** Whether it can keep prepared statements when it hands out connections by the transaction. */
export const knowsPreparedStatements = (): boolean => {
  const said = execFileSync(programPath("pgbouncer"), ["--version"], { encoding: "utf8" });
  const [, major, minor] = /PgBouncer (\d+)\.(\d+)/.exec(said) ?? [];
  return Number(major) > 1 || Number(minor) >= 21;
};

export const startPgbouncer = (options: PgbouncerOptions): Promise<Pgbouncer> =>
  onFreePort((port) => start(port, options));

const start = async (port: number, options: PgbouncerOptions): Promise<Pgbouncer> => {
  const { server, poolMode, settings = {} } = options;
  const user = unprivileged();
  const folder = temporaryFolder("pgbouncer");
  const file = join(folder.path, "pgbouncer.ini");
  const { host, database } = server.connection;
  const lines = Object.entries({
    listen_addr: host,
    listen_port: `${port}`,
    unix_socket_dir: "",
    auth_type: "any",
    pool_mode: poolMode,
    default_pool_size: "2",
    ...settings,
  }).map(([name, value]) => `${name} = ${value}\n`);
  const target = `host=${host} port=${server.port} user=${server.connection.user}`;
  writeFileSync(file, `[databases]\n${database} = ${target}\n[pgbouncer]\n${lines.join("")}`);
  if (user) for (const path of [folder.path, file]) chownSync(path, user.uid, user.gid);
  const proxy = new ServerProcess({
    program: "pgbouncer",
    folder: folder.path,
    ready: /process up: PgBouncer/,
    args: [file],
    ...user,
  });
  try {
    await proxy.start();
  } catch (error) {
    folder.remove();
    throw error;
  }
  return {
    port,
    async [Symbol.asyncDispose]() {
      await proxy.kill();
      folder.remove();
    },
  };
};
