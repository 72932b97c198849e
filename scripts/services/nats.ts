import { cpSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, onFreePort, ServerProcess, temporaryFolder } from "./server-process.ts";

export interface NatsOptions {
  /** Default: `true`. */
  readonly jetstream?: boolean;
  /** What is in its configuration file besides, such as who may do what. Default: nothing. */
  readonly config?: string;
}

/** A private nats-server on loopback, whose JetStream keeps its streams in a temporary folder. */
export interface NatsServer extends AsyncDisposable {
  readonly port: number;
  readonly host: string;
  /** The address of its monitoring, over HTTP. */
  readonly monitorUrl: string;
  /** `subsz`, `connz` and the others of its monitoring. */
  monitor(page: string): Promise<Record<string, unknown>>;
  /** Ends it at once, as a crash would; its streams stay. */
  kill(): Promise<void>;
  /** Starts it again on the same port and streams; kills it before if it runs. */
  restart(): Promise<void>;
  /**
   * Copies its streams, while it is down; the returned function puts them back, also while it is down:
   * the server has lost what it stored since, as after a crash of its machine.
   */
  save(): () => void;
  /** Stops it without an end: connections stay open, nothing is answered. */
  freeze(): void;
  thaw(): void;
  /** Ends it and removes its files. */
  stop(): Promise<void>;
}

export const startNats = (options: NatsOptions = {}): Promise<NatsServer> =>
  onFreePort((port) => start(port, options));

const start = async (port: number, options: NatsOptions): Promise<NatsServer> => {
  const { jetstream = true, config = "" } = options;
  const host = "127.0.0.1";
  const monitorPort = await freePort();
  const monitorUrl = `http://${host}:${monitorPort}`;
  const folder = temporaryFolder("nats");
  const configFile = join(folder.path, "nats.conf");
  const streams = join(folder.path, "streams");
  writeFileSync(configFile, config);
  const server = new ServerProcess({
    program: "nats-server",
    folder: folder.path,
    ready: /Server is ready/,
    args: [
      ...["-c", configFile, "-a", host, "-p", `${port}`, "-m", `${monitorPort}`],
      ...(jetstream ? ["-js", "-sd", streams] : []),
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
    monitorUrl,
    async monitor(page) {
      const response = await fetch(`${monitorUrl}/${page}`);
      return (await response.json()) as Record<string, unknown>;
    },
    kill: () => server.kill(),
    async restart() {
      await server.kill();
      await server.start();
    },
    save() {
      const saved = join(folder.path, "saved");
      cpSync(streams, saved, { recursive: true });
      return () => {
        rmSync(streams, { recursive: true });
        cpSync(saved, streams, { recursive: true });
      };
    },
    freeze: () => server.freeze(),
    thaw: () => server.thaw(),
    stop,
    [Symbol.asyncDispose]: stop,
  };
};
