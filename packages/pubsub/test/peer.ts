import { fork } from "node:child_process";
import { once } from "node:events";
import {
  type Gap,
  type Message,
  type PubSub,
  PubSubError,
  type PubSubErrorCode,
  type Streams,
  type SubscribeOptions,
  type Subscription,
} from "@lanai/pubsub";

type Backend = PubSub & Streams;
type Methods = Readonly<Record<string, (...args: never[]) => unknown>>;
type Call = (name: string, ...args: readonly unknown[]) => Promise<unknown>;

/** An error, as it crosses. */
interface Failure {
  readonly name: string;
  readonly message: string;
  readonly code: string | undefined;
  readonly cause: Failure | undefined;
}

type Packet =
  | { readonly call: string; readonly id: number; readonly args: readonly unknown[] }
  | { readonly answer: number; readonly value?: unknown; readonly error?: Failure };

/** One end of what joins the two processes. */
interface End {
  on(event: "message", hear: (packet: Packet) => void): unknown;
  send(packet: Packet, done: () => void): unknown;
}

/** Lets each side call what the other has, in order; a rejection crosses too. */
const join = (end: End, methods: Methods): Call => {
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let last = 0;
  // The other side may have been killed.
  const send = (packet: Packet) => void end.send(packet, () => {});
  const run = async (id: number, name: string, args: readonly unknown[]) => {
    const method = methods[name] as (...args: readonly unknown[]) => unknown;
    try {
      send({ answer: id, value: await method(...args) });
    } catch (error) {
      send({ answer: id, error: plain(error) });
    }
  };
  end.on("message", (packet) => {
    if ("call" in packet) return void run(packet.id, packet.call, packet.args);
    const call = waiting.get(packet.answer);
    waiting.delete(packet.answer);
    if (packet.error) call?.reject(revive(packet.error));
    else call?.resolve(packet.value);
  });
  return (name, ...args) => {
    const call = Promise.withResolvers<unknown>();
    last += 1;
    waiting.set(last, call);
    send({ call: name, id: last, args });
    return call.promise;
  };
};

const plain = (error: unknown): Failure => {
  const { name, message, code, cause } = error as Error & { readonly code?: string };
  return { name, message, code, cause: cause === undefined ? undefined : plain(cause) };
};

const revive = ({ name, message, code, cause }: Failure): Error => {
  const options = cause && { cause: revive(cause) };
  if (code?.startsWith("ERR_PUBSUB_")) {
    return new PubSubError(code as PubSubErrorCode, message, options);
  }
  return Object.assign(new Error(message, options), { name, code });
};

/** What of a subscription changes. */
type State = Pick<Subscription, "status" | "recovered" | "cursor">;
/** What of its options crosses. */
type Plain = Pick<SubscribeOptions, "replay" | "since" | "queue">;
type Meta = Omit<Message, "data">;

/** Another process, in which backends are opened and used from here. */
export interface Peer<Options> extends AsyncDisposable {
  /**
   * A backend there: its calls go there, and what it calls comes back. What a subscription says of
   * itself is what it said with the last message.
   */
  open(options: Options): Promise<Backend>;
  /** Ends the process at once, as a crash would. */
  kill(): Promise<void>;
}

/** Starts a program that calls {@link serve}. */
export const startPeer = <Options>(program: URL): Peer<Options> => {
  const child = fork(program, {
    execArgv: ["--conditions=@lanai/source"],
    // Bytes, Infinity and undefined stay what they are.
    serialization: "advanced",
  });
  const listeners = new Map<number, Methods>();
  const call = join(child, {
    tell: (id: number, what: string, ...args: never[]) => listeners.get(id)?.[what]?.(...args),
  });
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  };
  return {
    async open(options) {
      const at = (await call("open", options)) as number;
      return {
        publish: (...args) => call("publish", at, ...args) as Promise<void>,
        ensureStream: (config) => call("ensureStream", at, config) as Promise<void>,
        history: (...args) => call("history", at, ...args) as Promise<Message[]>,
        close: () => call("close", at) as Promise<void>,
        subscribe: (...args) => subscribe(call, listeners, at, ...args),
      };
    },
    kill,
    [Symbol.asyncDispose]: kill,
  };
};

const subscribe = async (
  call: Call,
  listeners: Map<number, Methods>,
  at: number,
  ...[subject, handler, options = {}]: Parameters<PubSub["subscribe"]>
): Promise<Subscription> => {
  const { signal, onError, onGap, ...others } = options;
  const id = listeners.size;
  const closed = Promise.withResolvers<void>();
  const state: { -readonly [K in keyof State]: State[K] } = {
    status: "syncing",
    recovered: undefined,
    cursor: undefined,
  };
  const update = ({ status, recovered, cursor }: State) => {
    if (state.status !== "closed") state.status = status;
    state.recovered = recovered;
    state.cursor = cursor;
  };
  let ending: Promise<void> | undefined;
  const unsubscribe = () => {
    state.status = "closed";
    ending ??= call("end", id).then(() => closed.resolve());
    return ending;
  };
  listeners.set(id, {
    message(message: Message, now: State) {
      if (state.status === "closed") return undefined;
      update(now);
      return handler(message);
    },
    gap: (gap: Gap) => onGap?.(gap),
    error: (error: Failure, meta?: Meta) => onError?.(revive(error) as PubSubError, meta),
    closed() {
      state.status = "closed";
      closed.resolve();
    },
  });
  signal?.addEventListener("abort", () => void unsubscribe(), { once: true });
  update((await call("subscribe", at, id, subject, others, signal?.aborted === true)) as State);
  return {
    subject,
    closed: closed.promise,
    unsubscribe,
    get status() {
      return state.status;
    },
    get recovered() {
      return state.recovered;
    },
    get cursor() {
      return state.cursor;
    },
  };
};

interface Served extends AsyncDisposable {
  readonly backend: Backend;
}

/** In the other process: opens backends for the one that has started it, and ends with it. */
export const serve = <Options>(open: (options: Options) => Served | Promise<Served>): void => {
  const served: Served[] = [];
  const subscriptions = new Map<number, Subscription>();
  const aborts = new Map<number, AbortController>();
  const backendOf = (at: number) => (served[at] as Served).backend;
  const call = join(process as unknown as End, {
    open: async (options: Options) => served.push(await open(options)) - 1,
    publish: (at: number, ...args: Parameters<PubSub["publish"]>) => backendOf(at).publish(...args),
    ensureStream: (at: number, ...args: Parameters<Streams["ensureStream"]>) =>
      backendOf(at).ensureStream(...args),
    history: (at: number, ...args: Parameters<Streams["history"]>) =>
      backendOf(at).history(...args),
    close: (at: number) => served[at]?.[Symbol.asyncDispose](),
    async end(id: number) {
      aborts.get(id)?.abort();
      await subscriptions.get(id)?.unsubscribe();
    },
    async subscribe(at: number, id: number, subject: string, options: Plain, isAborted: boolean) {
      const abort = new AbortController();
      aborts.set(id, abort);
      if (isAborted) abort.abort();
      const tell = (what: string, ...args: readonly unknown[]) => call("tell", id, what, ...args);
      const subscription = await backendOf(at).subscribe(
        subject,
        (message) => tell("message", message, stateOf(subscriptions.get(id), message)),
        {
          ...options,
          signal: abort.signal,
          // What these throw is the other side's.
          onGap: (gap) => void tell("gap", gap).catch(() => {}),
          onError: (error, meta) => void tell("error", plain(error), meta).catch(() => {}),
        },
      );
      subscriptions.set(id, subscription);
      void subscription.closed.then(() => tell("closed"));
      return stateOf(subscription);
    },
  });
  process.once("disconnect", () => process.exit());
};

/** Before it resolves, a subscription that replays is known by its messages alone. */
const stateOf = (it: Subscription | undefined, message?: Message): State => ({
  status: it?.status ?? "syncing",
  recovered: it?.recovered,
  cursor: it?.cursor ?? message?.id,
});
