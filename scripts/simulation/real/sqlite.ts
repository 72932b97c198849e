import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type IndexedStore, memoryStore } from "@lanai/session";
import type { Change, NewRecord } from "@lanai/session/store";
import { sqliteStore } from "@lanai/session-sqlite";
import { randomFrom } from "../../testing/chance.ts";
import { type Refusal, refusing } from "../refusals.ts";
import { outcomeOf, type Shown, stateOf } from "./model.ts";
import { type Call, linesOf, randomCalls, type Schedule } from "./schedule.ts";

/** A handle calls, or the file comes to refuse, or doesn't any more. */
type Turn = { readonly handle: number; readonly call: number } | { readonly refusal: Refusal | "" };

/** What happens to one file that two handles have open. */
export interface FileSchedule extends Schedule {
  readonly turns: readonly Turn[];
}

/** More than is free inside of a small database. */
const LARGE = "x".repeat(400_000);
const GROWING = new Set(["create", "commit", "commitByPublicId"]);
const UNBOUNDED = 1_000_000;

/** Returns the schedule of a seed. What is written while the disk is full needs more of it. */
export function fileScheduleOf(seed: number): FileSchedule {
  const random = randomFrom(seed);
  const { names, nextCall } = randomCalls(seed, random);
  const calls: Call[] = [];
  const turns: Turn[] = [];
  let refusal: Refusal | "" = "";
  for (let left = 6 + random(6); left > 0; left--) {
    if (random(3) === 0) {
      refusal = refusal === "" ? ((["locked", "full"] as const)[random(2)] ?? "") : "";
      turns.push({ refusal });
    }
    const call = nextCall();
    calls.push(refusal === "full" && GROWING.has(call.method) ? enlarged(call) : call);
    turns.push({ handle: random(2), call: calls.length - 1 });
  }
  return { calls, turns, steps: [], ...names };
}

function enlarged({ method, args }: Call): Call {
  const [last, ...before] = [...args].reverse() as [NewRecord | Change, ...unknown[]];
  const large = new Map([["x", LARGE]]);
  const larger = "values" in last ? { ...last, values: large } : { ...last, set: large };
  return { method, args: [...before.reverse(), larger] };
}

export const linesOfFile = (schedule: FileSchedule): string[] =>
  schedule.turns.flatMap((turn) => {
    if ("refusal" in turn) return [`the file is ${turn.refusal || "as before"}`];
    const { handle: worker, call } = turn;
    return linesOf({ ...schedule, steps: [{ do: "send", worker, call }] }, []);
  });

/** Of what needs room and doesn't get it, SQLite may find out first that it has nothing to write. */
const withoutRoom = (outcome: string): string =>
  /rejected|KEY_TAKEN|status:(?:gone|renewed|conflict)/.test(outcome) ? "not applied" : outcome;

/** Plays a schedule on what two handles share. */
async function play(
  schedule: FileSchedule,
  handles: readonly IndexedStore[],
  become: (refusal: Refusal | "") => void,
): Promise<Shown> {
  const shown: string[] = [];
  let isFull = false;
  for (const turn of schedule.turns) {
    if ("refusal" in turn) {
      become(turn.refusal);
      isFull = turn.refusal === "full";
      continue;
    }
    const call = schedule.calls[turn.call] as Call;
    const outcome = await outcomeOf(handles[turn.handle] as IndexedStore, call);
    const hasNoRoom = isFull && GROWING.has(call.method);
    shown.push(`${turn.call}: ${hasNoRoom ? withoutRoom(outcome) : outcome}`);
  }
  become("");
  return [...shown, ...(await stateOf(handles[0] as IndexedStore, schedule))];
}

/** @param isWrong - Whether a call that is refused is applied all the same. */
export function playFileModel(schedule: FileSchedule, isWrong = false): Promise<Shown> {
  const store: IndexedStore = memoryStore();
  let refusal: Refusal | undefined;
  const model = refusing(store, () => refusal);
  const wrong = refusing(store, () => undefined);
  const careless: IndexedStore = {
    ...model,
    async commit(key, change) {
      await wrong.commit(key, change);
      return model.commit(key, change);
    },
  };
  const handle = isWrong ? careless : model;
  return play(schedule, [handle, handle], (next) => {
    refusal = next || undefined;
  });
}

/** Plays a schedule on a file of its own. */
export async function playFile(schedule: FileSchedule): Promise<Shown> {
  const folder = mkdtempSync(join(tmpdir(), "lanai-models-"));
  const databases = [0, 1, 2].map(() => {
    const database = new DatabaseSync(join(folder, "sessions.db"), { timeout: 0 });
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF");
    return database;
  });
  const [other] = databases as [DatabaseSync, ...DatabaseSync[]];
  const used = databases.slice(1);
  const stores = used.map((it) => sqliteStore(it, { busyTimeout: 0, sweepInterval: Infinity }));
  let isLocked = false;
  try {
    return await play(schedule, stores, (refusal) => {
      if (isLocked) other.exec("ROLLBACK");
      isLocked = refusal === "locked";
      if (isLocked) other.exec("BEGIN IMMEDIATE");
      const most = refusal === "full" ? 1 : UNBOUNDED;
      for (const database of used) database.exec(`PRAGMA max_page_count = ${most}`);
    });
  } finally {
    for (const it of [...stores, ...databases]) it.close();
    rmSync(folder, { recursive: true });
  }
}
