import type { Message, Payload, PublishOptions, PubSub, Subscription } from "../../pubsub.ts";
import type { HistoryRange, StreamConfig, Streams } from "../../streams.ts";
import { asLibraryCall } from "../../subjects/reserved.ts";
import { openBackendAt } from "./backend-at.ts";
import { type End, failureOf, join, type PlainOptions, type State } from "./process-channel.ts";

// The other process of a suite: opens backends for the one that has started it, and ends with it.

const [module = ""] = process.argv.slice(2);
const opened: (PubSub & Streams)[] = [];
const subscriptions = new Map<number, Subscription>();
const aborts = new Map<number, AbortController>();
const backendOf = (at: number) => opened[at] as PubSub & Streams;
const call = join(process as unknown as End, {
  open: async (options: unknown) => opened.push(await openBackendAt({ module, options })) - 1,
  publish: (
    at: number,
    subject: string,
    data: Payload,
    options: PublishOptions | undefined,
    isLibrary: boolean,
  ) => backendOf(at).publish(subject, data, isLibrary ? asLibraryCall(options ?? {}) : options),
  ensureStream: (at: number, config: StreamConfig, isLibrary: boolean) =>
    backendOf(at).ensureStream(isLibrary ? asLibraryCall(config) : config),
  history: (at: number, subject: string, limit: number, range: HistoryRange, isLibrary: boolean) =>
    backendOf(at).history(subject, limit, isLibrary ? asLibraryCall(range) : range),
  close: (at: number) => opened[at]?.close(),
  async end(id: number) {
    aborts.get(id)?.abort();
    await subscriptions.get(id)?.unsubscribe();
  },
  async subscribe(
    at: number,
    id: number,
    subject: string,
    plain: PlainOptions,
    isLibrary: boolean,
    isAborted: boolean,
  ) {
    const options = isLibrary ? asLibraryCall(plain) : plain;
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
        onError: (error, meta) => void tell("error", failureOf(error), meta).catch(() => {}),
      },
    );
    subscriptions.set(id, subscription);
    void subscription.closed.then(() => tell("closed"));
    return stateOf(subscription);
  },
});
process.once("disconnect", () => process.exit());

/** Returns the state of a subscription. Before `subscribe` resolves, only its messages show that it is there. */
function stateOf(it: Subscription | undefined, message?: Message): State {
  return {
    status: it?.status ?? "syncing",
    recovered: it?.recovered,
    cursor: it?.cursor ?? message?.id,
  };
}
