import { IncomingMessage, ServerResponse } from "node:http";
import { Writable } from "node:stream";

/** As much of a socket as a response asks for. */
class Nowhere extends Writable {
  readonly remoteAddress = "127.0.0.1";
  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done();
  }
  setTimeout(): void {}
  destroySoon(): void {}
}

interface Answer {
  readonly status: number;
  readonly setCookie: readonly string[];
}

export interface RequestInProgress {
  /** Resolves when the response has left the worker. */
  readonly answer: Promise<Answer>;
  /** The client goes before the response. */
  leave(): void;
}

type Callback = (req: IncomingMessage, res: ServerResponse) => void;

/** Sends a request without a socket. */
export function send(callback: Callback, path: string, cookie: string): RequestInProgress {
  const socket = new Nowhere();
  const req = new IncomingMessage(socket as never);
  Object.assign(req, { method: "POST", url: path, httpVersionMajor: 1, httpVersionMinor: 1 });
  req.headers = { host: "localhost", ...(cookie && { cookie }) };
  const res = new ServerResponse(req);
  res.assignSocket(socket as never);
  const answer = new Promise<Answer>((resolve) => {
    res.once("finish", () => {
      const lines = res.getHeader("set-cookie") ?? [];
      resolve({ status: res.statusCode, setCookie: [lines].flat().map(String) });
      res.emit("close");
    });
  });
  callback(req, res);
  return { answer, leave: () => void res.emit("close") };
}
