import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { programPath } from "../../../scripts/servers.js";

/** PyJWT in a process of its own, asked one thing after another. */
export interface PyJwt extends AsyncDisposable {
  /** @throws with what Python said. */
  ask(request: Readonly<Record<string, unknown>>): Promise<unknown>;
}

export const startPyJwt = (): PyJwt => {
  const script = fileURLToPath(new URL("pyjwt.py", import.meta.url));
  const python = spawn(programPath("python3 with jwt"), [script], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: python.stdout })[Symbol.asyncIterator]();
  let last: Promise<unknown> = Promise.resolve();
  const ask = async (request: object) => {
    python.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await lines.next();
    if (done) throw new Error("Python has ended");
    const { answer, error } = JSON.parse(value);
    if (error !== undefined) throw new Error(error);
    return answer;
  };
  return {
    ask(request) {
      const asked = last.then(() => ask(request));
      last = asked.catch(() => {});
      return asked;
    },
    async [Symbol.asyncDispose]() {
      const exited = once(python, "exit");
      python.stdin.end();
      await exited;
    },
  };
};
