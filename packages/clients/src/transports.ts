import type { ExtendableContext } from "koa";

/** What of a socket of `@lanai/websocket` is used here. */
export interface LiveSocket {
  /** @returns Whether there is room for more. */
  send(text: string): boolean;
  drained(): Promise<void>;
  on(event: "message", listener: (data: unknown, isBinary: boolean) => void): unknown;
  /** From here on no message is delivered, and a client that doesn't answer is cut off. */
  close(code: number, reason: string): void;
}

/** What of a stream of `@lanai/sse` is used here. */
export interface LiveStream {
  /** @returns Whether there is room for more. */
  send(event: { readonly id?: string; readonly event: string; readonly data: string }): boolean;
  drained(): Promise<void>;
  end(options?: { readonly retry: number }): void;
}

/** What those packages put on a context. An app may have either, both or none. */
interface Transports {
  upgrade?(options?: { readonly protocols: readonly string[] }): Promise<LiveSocket>;
  sse?(): Promise<LiveStream>;
}

export const transportsOf = (ctx: ExtendableContext): Transports => ctx as unknown as Transports;
