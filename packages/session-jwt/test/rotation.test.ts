import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { JwtKey } from "@lanai/session-jwt";
import { expect, onTestFinished, test } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { payloadOf, SECRET } from "./tokens.ts";

const old: JwtKey = { kid: "old", alg: "HS256", key: SECRET };
const fresh: JwtKey = { kid: "new", alg: "HS256", key: `${SECRET}, a newer one` };

interface Process {
  readonly url: string;
  use(keys: readonly JwtKey[]): Promise<void>;
}

const startProcess = async (file: string, keys: readonly JwtKey[]): Promise<Process> => {
  const child: ChildProcess = fork(
    fileURLToPath(new URL("rotating-worker.ts", import.meta.url)),
    [file],
    { execArgv: ["--conditions=@lanai/source", "--disable-warning=ExperimentalWarning"] },
  );
  onTestFinished(() => void child.kill("SIGKILL"));
  const use = async (set: readonly JwtKey[]) => {
    child.send(set);
    const [port] = await once(child, "message");
    return port;
  };
  const port = await use(keys);
  return { url: `http://127.0.0.1:${port}`, use };
};

/** The newest of the tokens that one round of requests brought. */
const newest = (tokens: readonly (string | null)[]): string | undefined =>
  tokens
    .filter((it): it is string => it !== null)
    .sort((a, b) => Number(payloadOf(b).gen) - Number(payloadOf(a).gen))[0];

const kidOf = (token: string): string =>
  JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString()).kid;

test("a rotation under load in two processes signs nobody out", async () => {
  const folder = mkdtempSync(join(tmpdir(), "lanai-jwt-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "sessions.db");
  const first = await startProcess(file, [old]);
  const second = await startProcess(file, [old]);
  const both = [first, second];

  const statuses = new Map<number, number>();
  const visitors = await Promise.all(
    Array.from({ length: 6 }, async (_, n) => {
      const response = await fetch(`${both[n % 2]?.url}/sign-in`);
      return { token: response.headers.get("session-id") ?? "", visits: 1 };
    }),
  );
  /** One after another, a request to each process at the same moment, with the same token. */
  let isOver = false;
  const load = visitors.map(async (visitor) => {
    while (!isOver) {
      const answers = await Promise.all(
        both.map(({ url }) => fetch(url, { headers: { "Session-ID": visitor.token } })),
      );
      for (const { status } of answers) statuses.set(status, (statuses.get(status) ?? 0) + 1);
      await Promise.all(answers.map((it) => it.arrayBuffer()));
      visitor.visits += answers.length;
      visitor.token = newest(answers.map((it) => it.headers.get("session-id"))) ?? visitor.token;
    }
  });
  const someLoad = async () => {
    const before = visitors.map(({ visits }) => visits);
    await until(() =>
      expect(visitors.every(({ visits }, n) => visits > (before[n] ?? 0) + 10)).toBe(true),
    );
  };

  try {
    for (const set of [
      [old, { ...fresh, state: "pending" }],
      [{ ...old, state: "retiring" }, fresh],
    ] as const) {
      for (const each of both) {
        await someLoad();
        await each.use(set);
      }
    }
    await until(() =>
      expect(visitors.map(({ token }) => kidOf(token))).toEqual(visitors.map(() => "new")),
    );
    for (const each of both) {
      await each.use([fresh]);
      await someLoad();
    }
  } finally {
    isOver = true;
    await Promise.all(load);
  }

  expect([...statuses.keys()]).toEqual([200]);
  for (const { token, visits } of visitors) {
    expect(Number(payloadOf(token).gen)).toBeGreaterThan(0);
    const response = await fetch(first.url, { headers: { "Session-ID": token } });
    expect(Number(await response.text())).toBe(visits + 1);
  }
});
