import { execFile, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { sqliteStore } from "@lanai/session-sqlite";
import { describe, expect, onTestFinished, test } from "vitest";
import { isLong, randomFrom, seed } from "../../../scripts/testing/chance.ts";
import { connect, newFile, newFolder } from "./files.ts";
import { newKey, record } from "./records.ts";

const run = promisify(execFile);

/** Ways to a mount namespace, in which anybody may mount a small disk that goes with the process. */
const NAMESPACES = [
  ["unshare", "--mount"],
  ["unshare", "--user", "--map-root-user", "--mount"],
];

const namespace = NAMESPACES.find(
  ([program = "", ...args]) =>
    spawnSync(program, [...args, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status === 0,
);

/** What `full-disk-process.ts` reports of a disk of so many kilobytes. */
async function onDisk({ kilobytes, bytes, most = Infinity }: Disk): Promise<Report> {
  const [program = "", ...args] = namespace ?? [];
  const main = fileURLToPath(new URL("full-disk-process.ts", import.meta.url));
  const script = `mount -t tmpfs -o size=${kilobytes}k tmpfs "$1" && exec "$2" --conditions=@lanai/source "$3" "$1" ${bytes} ${most}`;
  const { stdout } = await run(program, [
    ...args,
    ...["sh", "-c", script, "sh", newFolder(), process.execPath, main],
  ]);
  return JSON.parse(stdout) as Report;
}

interface Disk {
  readonly kilobytes: number;
  /** Of each session. */
  readonly bytes: number;
  /** The rest of the disk is another program's. Default: as many sessions as fit. */
  readonly most?: number;
}

type Report = Readonly<Record<string, unknown>> & {
  readonly created: number;
  readonly createdAgain: number;
};

const random = randomFrom(seed);
/** `LONG=1` tries 30 more, at random. */
const disks: readonly Disk[] = [
  { kilobytes: 600, bytes: 3_000 },
  { kilobytes: 2_000, bytes: 100, most: 400 },
  { kilobytes: 12_000, bytes: 20_000 },
  { kilobytes: 4_000, bytes: 500, most: 50 },
  ...Array.from({ length: isLong ? 30 : 0 }, () => ({
    kilobytes: 800 + random(20_000),
    bytes: random(12_000),
    ...(random(2) === 0 && { most: 20 + random(1_000) }),
  })),
];

// Where no namespace can be had (macOS, a locked-down container) the quota below stands for the disk.
describe.runIf(namespace)("on a disk of its own that is full", () => {
  test.each(disks)(
    "$kilobytes KB, sessions of $bytes bytes: each can be ended, and writes go on when there is room",
    async (disk) => {
      const report = await onDisk(disk);
      const { created, createdAgain } = report;
      expect(created).toBeGreaterThan(10);
      expect(createdAgain).toBeGreaterThan(10);
      expect(report).toEqual({
        created,
        before: created,
        ended: created,
        errors: [],
        after: 0,
        recovered: true,
        createdAgain,
        endedAgain: createdAgain,
        errorsAgain: [],
        left: 0,
        recoveredAgain: true,
      });
    },
  );
});

test("in a database that may not grow every session can be ended, in any order", async () => {
  const database = connect(newFile());
  const store = sqliteStore(database);
  onTestFinished(() => store.close());
  const sessions: { key: string; publicId: string; owner: string }[] = [];
  const pages = Number(database.prepare("PRAGMA page_count").get()?.page_count);
  database.exec(`PRAGMA synchronous = OFF; PRAGMA max_page_count = ${pages + 100}`);
  for (let n = 0; ; n++) {
    const [key, owner] = [newKey(), `user:${n % 7}`];
    const session = record({
      owners: new Set([owner]),
      values: new Map([["v", "x".repeat((n * 37) % 900)]]),
    });
    try {
      await store.create(key, session);
    } catch (error) {
      expect(error).toMatchObject({ errcode: 13 });
      break;
    }
    sessions.push({ key, owner, publicId: session.publicId });
  }
  expect(sessions.length).toBeGreaterThan(300);
  const shuffled = sessions.toSorted((a, b) => (a.publicId < b.publicId ? -1 : 1));
  for (const [n, { key, owner, publicId }] of shuffled.entries()) {
    const operation = `end ${n}`;
    const ended =
      n % 2
        ? await store.destroy(key, operation)
        : await store.destroyByPublicId(owner, publicId, operation);
    expect(ended?.publicId).toBe(publicId);
  }
  for (const { key } of sessions) expect(store.load(key)).toEqual({ status: "none" });
});
