import type { Host, Socket, SocketClass, Transport } from "./host.ts";

/** Frames in one post, and their length, in UTF-16 code units. */
const MOST_FRAMES = 200;
const MOST_LENGTH = 100_000;
/** The number of retries of a post that got no response, and the first wait, in milliseconds. */
const ATTEMPTS = 5;
const WAIT = 500;

/**
 * A connection where no WebSocket gets through: an event stream brings what the server says, and posts
 * take there what the page says. They may reach any process. Give it to `connect` as `fallback`.
 */
export const fallback: Transport = (host: Host): SocketClass =>
  class implements Socket {
    onopen: Socket["onopen"] = null;
    onmessage: Socket["onmessage"] = null;
    onclose: Socket["onclose"] = null;
    onerror: Socket["onerror"] = null;
    readonly #url: string;
    readonly #abort = host.AbortController && new host.AbortController();
    #waiting: string[] = [];
    #credential = "";
    #seq = 0;
    #isPosting = false;
    #isOver = false;

    constructor(url: string) {
      this.#url = url.replace(/^ws/, "http");
      void this.#read().then(
        (code) => this.#end(code),
        () => this.#end(1006),
      );
    }

    #fetch(options: object) {
      const common = { credentials: "include", cache: "no-store", signal: this.#abort?.signal };
      return host.fetch(this.#url, { ...common, ...options });
    }

    /** @returns The code with which a WebSocket would have been closed. */
    async #read(): Promise<number> {
      const { status, body } = await this.#fetch({ headers: { Accept: "text/event-stream" } });
      const { TextDecoder } = host;
      if (status !== 200 || !body || !("getReader" in body) || !TextDecoder) return 1006;
      const reader = body.getReader();
      const decoder = new TextDecoder();
      let text = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done || this.#isOver) return 1006;
        text += decoder.decode(value, { stream: true });
        const events = text.split(/\r?\n\r?\n/);
        text = events.pop() ?? "";
        for (const event of events) {
          const data = /^data: ?(.*)$/m.exec(event)?.[1];
          const name = /^event: ?(.*)$/m.exec(event)?.[1];
          if (data === undefined) continue;
          if (name === "close") return Number(data);
          if (name !== "line") this.onmessage?.({ data });
          else {
            this.#credential = data;
            void this.#post();
          }
        }
      }
    }

    send(text: string): void {
      this.#waiting.push(text);
      void this.#post();
    }

    async #post(): Promise<void> {
      if (this.#isPosting || !this.#credential) return;
      this.#isPosting = true;
      while (this.#waiting.length > 0 && !this.#isOver) {
        let length = 0;
        let count = 0;
        for (const text of this.#waiting.slice(0, MOST_FRAMES)) {
          length += text.length;
          if (count > 0 && length > MOST_LENGTH) break;
          count += 1;
        }
        this.#seq += 1;
        if (!(await this.#deliver(this.#waiting.splice(0, count).join("\n")))) this.#end(1006);
      }
      this.#isPosting = false;
    }

    /** The number distinguishes a post that is sent again from a new one. */
    async #deliver(body: string): Promise<boolean> {
      for (let attempt = 0; attempt < ATTEMPTS && !this.#isOver; attempt++) {
        const headers = {
          ...{ "Content-Type": "text/plain", "Lanai-Line": this.#credential },
          "Lanai-Seq": `${this.#seq}`,
        };
        const { status } = await this.#fetch({ method: "POST", headers, body }).catch(() => ({
          status: 0,
        }));
        if (status >= 200 && status < 300) return true;
        if (status !== 0 && status < 500) return false;
        await new Promise<void>((resolve) => host.setTimeout(resolve, WAIT * 2 ** attempt));
      }
      return false;
    }

    #end(code: number): void {
      if (this.#isOver) return;
      this.close();
      this.onclose?.({ code });
    }

    close(): void {
      this.#isOver = true;
      this.#abort?.abort();
    }
  };
