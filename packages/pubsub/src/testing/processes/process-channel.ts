import { PubSubError, type PubSubErrorCode } from "../../errors.ts";
import type { Message, SubscribeOptions, Subscription } from "../../pubsub.ts";

export type Methods = Readonly<Record<string, (...args: never[]) => unknown>>;
export type Call = (name: string, ...args: readonly unknown[]) => Promise<unknown>;

/** An error, as it crosses. */
export interface Failure {
  readonly name: string;
  readonly message: string;
  readonly code: string | undefined;
  readonly cause: Failure | undefined;
}

type Packet =
  | { readonly call: string; readonly id: number; readonly args: readonly unknown[] }
  | { readonly answer: number; readonly value?: unknown; readonly error?: Failure };

/** One end of what joins the two processes. */
export interface End {
  on(event: "message", hear: (packet: Packet) => void): unknown;
  send(packet: Packet, done: () => void): unknown;
}

/** Lets each side call what the other has, in order; a rejection crosses too. */
export function join(end: End, methods: Methods): Call {
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let last = 0;
  // The other side may have been killed.
  const send = (packet: Packet) => void end.send(packet, () => {});
  const run = async (id: number, name: string, args: readonly unknown[]) => {
    const method = methods[name] as (...args: readonly unknown[]) => unknown;
    try {
      send({ answer: id, value: await method(...args) });
    } catch (error) {
      send({ answer: id, error: failureOf(error) });
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
}

export function failureOf(error: unknown): Failure {
  const { name, message, code, cause } = error as Error & { readonly code?: string };
  return { name, message, code, cause: cause === undefined ? undefined : failureOf(cause) };
}

export function revive({ name, message, code, cause }: Failure): Error {
  const options = cause && { cause: revive(cause) };
  if (code?.startsWith("ERR_PUBSUB_")) {
    return new PubSubError(code as PubSubErrorCode, message, options);
  }
  return Object.assign(new Error(message, options), { name, code });
}

/** The properties of a subscription that change. */
export type State = Pick<Subscription, "status" | "recovered" | "cursor">;
/** The options of a subscription that can be sent to another process. */
export type PlainOptions = Pick<SubscribeOptions, "replay" | "since" | "queue">;
export type Meta = Omit<Message, "data">;
