import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { SseStream } from "@lanai/sse";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import Koa from "koa";
import { until } from "../../../scripts/testing/until.ts";
import { type Served, serve } from "../../session/test/http.ts";

export interface Site extends Served {
  readonly port: number;
  /** What the app reported. */
  readonly errors: unknown[];
}

export async function siteOf(app: Koa): Promise<Site> {
  const errors: unknown[] = [];
  app.on("error", (error) => errors.push(error));
  const served = await serve(app);
  const { port } = served.server.address() as AddressInfo;
  return { ...served, port, errors };
}

/** A tab that reads a stream, as eventsource-parser has it. */
export class Tab implements Disposable {
  readonly response: IncomingMessage;
  readonly events: EventSourceMessage[] = [];
  readonly comments: string[] = [];
  readonly retries: number[] = [];
  /** Every byte that has come. */
  text = "";
  readonly ended: Promise<unknown>;

  constructor(response: IncomingMessage) {
    this.response = response;
    const parser = createParser({
      onEvent: (event) => this.events.push(event),
      onComment: (comment) => this.comments.push(comment),
      onRetry: (retry) => this.retries.push(retry),
    });
    response.setEncoding("utf8");
    response.on("error", () => {});
    response.on("data", (chunk: string) => {
      this.text += chunk;
      parser.feed(chunk);
    });
    this.ended = new Promise((resolve) => response.once("close", resolve));
  }

  static async open(url: string, headers: Record<string, string> = {}): Promise<Tab> {
    const request = get(url, { headers, agent: false });
    request.on("error", () => {});
    const [response] = await once(request, "response");
    return new Tab(response);
  }

  get data(): string[] {
    return this.events.map((event) => event.data);
  }

  /** Waits until so many events have come. */
  async until(count: number): Promise<void> {
    await until(() => {
      if (this.events.length < count) throw new Error(`${this.events.length} of ${count} events`);
    });
  }

  [Symbol.dispose](): void {
    this.response.destroy();
  }
}

/** What was promised, and how to keep it. */
export class Opened<T = SseStream> {
  readonly #opened: PromiseWithResolvers<T> = Promise.withResolvers();
  readonly with = (value: T): void => this.#opened.resolve(value);
  get value(): Promise<T> {
    return this.#opened.promise;
  }
}

export const appWith = (App: typeof Koa, ...middlewares: Koa.Middleware[]): Koa => {
  const app = new App();
  app.silent = true;
  for (const middleware of middlewares) app.use(middleware);
  return app;
};

export { Koa };
