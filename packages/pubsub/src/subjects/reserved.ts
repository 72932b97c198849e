import { PubSubError } from "../errors.ts";
import type { Message, PubSub } from "../pubsub.ts";
import { hasStreams, type Streams } from "../streams.ts";

/** The prefix of subjects that belong to Lanai's own packages. */
const RESERVED = "$lanai.";

/** Marks a call of a library package. A registered symbol: two copies of this package share it. */
const LIBRARY: unique symbol = Symbol.for("@lanai/pubsub:library");

interface LibraryOptions {
  readonly [LIBRARY]?: boolean;
}

/** Returns the options of a call, marked as one of a library package; see {@link libraryPubSub}. */
export const asLibraryCall = <Options extends object>(options: Options): Options => ({
  ...options,
  [LIBRARY]: true,
});

/** Returns the options of a call of an app, whatever they hold. */
export const asAppCall = <Options extends object>(options: Options): Options =>
  isLibraryCall(options) ? { ...options, [LIBRARY]: false } : options;

/** Whether the options of a call were marked by {@link asLibraryCall}. No JSON text can be. */
export const isLibraryCall = (options: object | undefined): boolean =>
  (options as LibraryOptions | undefined)?.[LIBRARY] === true;

/** The part of a reserved subject that its package chose; `undefined` for a subject of an app. */
export const insideReserved = (subject: string): string | undefined =>
  typeof subject === "string" && subject.startsWith(RESERVED)
    ? subject.slice(RESERVED.length)
    : undefined;

/**
 * The subjects of one library package, on the bus or the backend that the app made (law C9).
 *
 * `control` of the package `clients` is `$lanai.clients.control` for the backend. Calls of an app
 * reject such a subject with `ERR_PUBSUB_SUBJECT`, no wildcard of an app matches it, and no stream of
 * an app retains it. The subjects are literal: wildcards are refused here. A package can have streams
 * of its own, under names that no app can use: `calls` of `channels` is `$lanai-channels-calls` for
 * the backend. Each process that uses a stream calls `ensureStream` first. `close` does nothing, since
 * the app owns the backend.
 *
 * @throws TypeError if the name isn't 1 to 32 lower-case letters, digits or `-`.
 */
export function libraryPubSub(
  pubsub: PubSub | { readonly backend: PubSub },
  name: string,
): PubSub & Streams {
  if (!/^[a-z\d-]{1,32}$/.test(name)) {
    throw new TypeError("libraryPubSub: name must be 1 to 32 lower-case letters, digits or -");
  }
  const backend = "backend" in pubsub ? pubsub.backend : pubsub;
  const prefix = `${RESERVED}${name}.`;
  const streams = (): Streams => {
    if (hasStreams(backend)) return backend;
    throw new PubSubError("ERR_PUBSUB_NO_STREAMS", `${name} needs a backend that retains messages`);
  };
  const received = (message: Message): Message => ({
    ...message,
    subject: message.subject.slice(prefix.length),
  });
  return {
    publish: (subject, data, options = {}) =>
      backend.publish(prefix + subject, data, asLibraryCall(options)),
    subscribe: (subject, handler, options = {}) =>
      backend.subscribe(
        prefix + subject,
        (message) => handler(received(message)),
        asLibraryCall(options),
      ),
    ensureStream: async ({ subjects, ...config }) =>
      streams().ensureStream(
        asLibraryCall({
          ...config,
          name: `$lanai-${name}-${config.name}`,
          subjects: subjects.map((it) => prefix + it),
        }),
      ),
    history: async (subject, limit, range = {}) => {
      const messages = await streams().history(prefix + subject, limit, asLibraryCall(range));
      return messages.map(received);
    },
    close: async () => {},
  };
}
