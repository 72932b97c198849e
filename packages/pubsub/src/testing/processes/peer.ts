import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { PubSubError } from "../../errors.ts";
import type { Gap, Message, PubSub, Subscription } from "../../pubsub.ts";
import type { Streams } from "../../streams.ts";
import { isLibraryCall } from "../../subjects/reserved.ts";
import {
  type Call,
  type Failure,
  join,
  type Meta,
  type Methods,
  revive,
  type State,
} from "./process-channel.ts";

/** Another process, in which backends are opened and used from here. */
export interface Peer extends AsyncDisposable {
  /**
   * A backend there: its calls go there, and what it calls comes back. What a subscription says of
   * itself is what it said with the last message.
   */
  open(options: unknown): Promise<PubSub & Streams>;
  /** Ends the process at once, as a crash would. */
  kill(): Promise<void>;
}

/** Whether the program is a source, as in the repository. It then finds the packages' sources by a condition. */
const isSource = import.meta.url.endsWith(".ts");

/** Starts a process that opens backends by a module: the URL of a `BackendModule`. */
export function startPeer(module: string): Peer {
  const name = isSource ? "./peer-process.ts" : "./peer-process.js";
  const child = fork(fileURLToPath(new URL(name, import.meta.url)), [module], {
    execArgv: [...process.execArgv, ...(isSource ? ["--conditions=@lanai/source"] : [])],
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
        publish: (subject, data, options) =>
          call("publish", at, subject, data, options, isLibraryCall(options)) as Promise<void>,
        ensureStream: (config) =>
          call("ensureStream", at, config, isLibraryCall(config)) as Promise<void>,
        history: (subject, limit, range = {}) =>
          call("history", at, subject, limit, range, isLibraryCall(range)) as Promise<Message[]>,
        close: () => call("close", at) as Promise<void>,
        subscribe: (...args) => subscribe(call, listeners, at, ...args),
      };
    },
    kill,
    [Symbol.asyncDispose]: kill,
  };
}

async function subscribe(
  call: Call,
  listeners: Map<number, Methods>,
  at: number,
  ...[subject, handler, options = {}]: Parameters<PubSub["subscribe"]>
): Promise<Subscription> {
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
  update(
    (await call(
      "subscribe",
      at,
      id,
      subject,
      others,
      isLibraryCall(options),
      signal?.aborted === true,
    )) as State,
  );
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
}
