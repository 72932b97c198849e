import { onFreePort, ServerProcess, temporaryFolder } from "./server-process.ts";

export interface RedisOptions {
  /** More of redis-server's command line. Default: none. */
  readonly args?: readonly string[];
}

/** A private Redis on loopback, which keeps nothing on disk unless `args` say so. */
export interface RedisServer extends AsyncDisposable {
  readonly port: number;
  readonly host: string;
  /** Ends it at once, as a crash would; what it held is lost. */
  kill(): Promise<void>;
  /** Starts it again, empty or with what is on disk, on the same port; kills it before if it runs. */
  restart(): Promise<void>;
  /** Stops it without an end: connections stay open, nothing is answered. */
  freeze(): void;
  thaw(): void;
  /** Ends it and removes its files. */
  stop(): Promise<void>;
}

export const startRedis = (options: RedisOptions = {}): Promise<RedisServer> =>
  onFreePort((port) => start(port, options));

const start = async (port: number, { args = [] }: RedisOptions): Promise<RedisServer> => {
  const host = "127.0.0.1";
  const folder = temporaryFolder("redis");
  const server = new ServerProcess({
    program: "redis-server",
    folder: folder.path,
    ready: /Ready to accept connections/,
    args: [
      ...["--port", `${port}`, "--bind", host, "--dir", folder.path],
      ...["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"],
      ...args,
    ],
  });
  const stop = async () => {
    await server.kill();
    folder.remove();
  };
  try {
    await server.start();
  } catch (error) {
    folder.remove();
    throw error;
  }
  return {
    port,
    host,
    kill: () => server.kill(),
    async restart() {
      await server.kill();
      await server.start();
    },
    freeze: () => server.freeze(),
    thaw: () => server.thaw(),
    stop,
    [Symbol.asyncDispose]: stop,
  };
};
