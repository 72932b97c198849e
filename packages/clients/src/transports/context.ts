import type { QueueOptions } from "@lanai/connection/queue";
import type { RateOptions } from "@lanai/connection/rate";
import type { ExtendableContext } from "koa";
import type { SharedText } from "./sink.ts";

/** The part of a socket of `@lanai/websocket` that is used here. */
export interface LiveSocket {
  /** @returns Whether there is room for more. */
  sendShared(shared: SharedText): boolean;
  drained(): Promise<void>;
  /** Stops reading from the connection, until {@link LiveSocket.resume}. */
  pause(): void;
  resume(): void;
  on(event: "message", listener: (data: unknown, isBinary: boolean) => void): unknown;
  /** Announces the close, and delivers what the client sent before it knew. */
  finish(code: number, reason: string): Promise<void>;
  /** Ends delivery: no message is delivered any more, and a client that doesn't respond is cut off. */
  close(code: number, reason: string): void;
}

/** The part of a stream of `@lanai/sse` that is used here. */
export interface LiveStream {
  /** @returns Whether there is room for more. */
  send(event: { readonly id?: string; readonly event: string; readonly data: string }): boolean;
  drained(): Promise<void>;
  end(options?: { readonly retry: number }): void;
}

/** The methods that those packages put on a context. An app may have either, both or none. */
interface Transports {
  upgrade?(options?: {
    readonly protocols?: readonly string[];
    readonly queue?: QueueOptions;
    readonly rate?: RateOptions;
  }): Promise<LiveSocket>;
  sse?(): Promise<LiveStream>;
}

export const transportsOf = (ctx: ExtendableContext): Transports => ctx as unknown as Transports;
