import type { ExtendableContext } from "koa";
import type { Bound } from "./binding.ts";
import type { Macs } from "./bound-cookie.ts";
import type { Lease } from "./lease.ts";

/** The event by which a page learns how to extend its connection. */
const OFFERED = "bound";
/** The event by which the process that holds the listener learns that it was extended. */
const EXTENDED = "bound.extended";

/** The part used here of a listener of `@lanai/clients`. */
export interface LiveListener {
  readonly id: string;
  readonly endReason: unknown;
  send(event: string, data?: unknown): void;
  events(event: string): AsyncIterable<unknown>;
}

/** The part used here of the clients of `@lanai/clients`, which is an optional peer. */
export interface LiveClients {
  attach(ctx: ExtendableContext, options?: object): Promise<LiveListener>;
  send(
    target: { readonly listener: string },
    event: string,
    data: unknown,
  ): Promise<{ readonly here: number; readonly bus: "published" | "down" | "none" }>;
}

/** The session and device for which a listener was attached. */
export interface Bond {
  readonly publicId: string;
  readonly thumbprint: string;
  /** The device's secret, for its MACs. */
  readonly secret: string;
}

export const bondOf = (
  publicId: string,
  { thumbprint, device }: Extract<Bound, { status: "bound" }>,
): Bond => ({ publicId, thumbprint, secret: device.secret });

/** A live connection that may be extended. */
export interface Extendable {
  readonly bond: Bond;
  readonly lease: Lease;
  /** The instant until which the cookie of its handshake is accepted, by `clock`. */
  readonly until: number;
}

export interface ListenerSettings<C extends LiveClients> {
  readonly clients: C;
  readonly macs: Macs;
  /** The path to which pages send requests for an extension. */
  readonly path: string;
  readonly grace: number;
  readonly clock: () => number;
  /** Returns the live connection that a request has become; `undefined` if it needs no proof. */
  readonly extendable: (ctx: ExtendableContext) => Extendable | undefined;
}

/** A listener's id and its secret, as its page sends them. */
const PROOF = /^([\w-]{1,64})\.([\w-]{43})$/;

/** Extends listeners of this process, and of other processes over the bus of the clients. */
export class BoundListeners<C extends LiveClients = LiveClients> {
  /** The app's clients, with an `attach` whose listeners can be extended by their page. */
  readonly clients: C;
  readonly #settings: ListenerSettings<C>;

  constructor(settings: ListenerSettings<C>) {
    this.#settings = settings;
    const { clients } = settings;
    const attach = async (ctx: ExtendableContext, options?: object): Promise<LiveListener> => {
      const listener = await clients.attach(ctx, options);
      const found = settings.extendable(ctx);
      if (found && !listener.endReason) this.#offer(listener, found);
      return listener;
    };
    this.clients = Object.create(clients, { attach: { value: attach, enumerable: true } });
  }

  #offer(listener: LiveListener, { bond, lease, until }: Extendable): void {
    const { macs, path, clock } = this.#settings;
    void this.#follow(listener, bond, lease);
    const secret = macs.sign(bond.secret, statement(listener.id, bond));
    // The page asks when its cookie is too old, so that the browser has to get another.
    const wait = Math.max(until - clock(), 0);
    listener.send(OFFERED, { path, proof: `${listener.id}.${secret}`, in: wait });
  }

  /** Extends the lease whenever a process that received a fresh cookie sends the event. */
  async #follow(listener: LiveListener, bond: Bond, lease: Lease): Promise<void> {
    const { macs, grace } = this.#settings;
    for await (const said of listener.events(EXTENDED)) {
      const { until, mac } = (said ?? {}) as { until?: unknown; mac?: unknown };
      if (typeof until !== "number" || typeof mac !== "string") continue;
      const isValid = macs.verify(bond.secret, ["extension", listener.id, String(until)], mac);
      if (isValid) lease.extend(until + grace);
    }
  }

  /**
   * Extends a listener of this session and device.
   *
   * @param proof - The text that the listener's page received.
   * @param until - The instant until which the bound cookie of the request is accepted.
   */
  async extend(
    proof: string,
    bond: Bond,
    until: number,
  ): Promise<"extended" | "unknown" | "unreachable"> {
    const { macs, clients } = this.#settings;
    const [, id, secret] = PROOF.exec(proof) ?? [];
    if (id === undefined || secret === undefined) return "unknown";
    if (!macs.verify(bond.secret, statement(id, bond), secret)) return "unknown";
    const mac = macs.sign(bond.secret, ["extension", id, String(until)]);
    const { here, bus } = await clients.send({ listener: id }, EXTENDED, { until, mac });
    if (here > 0 || bus === "published") return "extended";
    return bus === "down" ? "unreachable" : "unknown";
  }
}

const statement = (id: string, { publicId, thumbprint }: Bond) =>
  ["listener", id, publicId, thumbprint] as const;
