/** The servers that the tests of all runtimes share; the one who starts the runtimes starts them. */
export interface Servers {
  /** Redis's port on loopback. */
  readonly redis: number;
  /** The port of nats-server, with JetStream, and the address of its monitoring. */
  readonly nats: number;
  readonly natsMonitor: string;
  /** What a `pg.Pool` connects with. */
  readonly postgres: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly database: string;
  };
}
