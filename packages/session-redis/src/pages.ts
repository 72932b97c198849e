import {
  type CountedPage,
  type DestroyedPage,
  type DestroyPageOptions,
  type Ended,
  PAGE_SIZE,
  type Page,
  type PageOptions,
  type SessionRecord,
} from "@lanai/session/store";
import type { BoundedClient } from "./bounded-client.ts";
import { COUNT } from "./read-scripts.ts";
import { BEGINNING, type Position, Scan } from "./scan.ts";
import { inTurns, isTexts, partsOf } from "./turns.ts";

/** The parts of the store that the steps through all sessions use. */
interface Parts {
  readonly client: BoundedClient;
  readonly prefix: string;
  findAll(
    names: readonly string[],
    entries?: ReadonlySet<string>,
  ): Promise<
    readonly { readonly record?: SessionRecord | undefined; readonly isMoved?: boolean }[]
  >;
  /** Keeps what an operation is to do, and resolves to what that was the first time. */
  once<T>(plan: T, operation: string | undefined, isPlan: (it: unknown) => it is T): Promise<T>;
  end(name: string, operation: string): Promise<Ended | undefined>;
}

/** The number of keys that Redis reads in one step of a count. */
const COUNTED_AT_ONCE = 1_000;

const NO_ENTRIES: ReadonlySet<string> = new Set();

interface Pages {
  count(cursor?: string): Promise<CountedPage>;
  page(options?: PageOptions): Promise<Page>;
  destroyPage(options: DestroyPageOptions): Promise<DestroyedPage>;
}

/** The calls that go through all sessions, a step at a time. */
export function pagesOf({ client, prefix, findAll, once, end }: Parts): Pages {
  const scan = new Scan(client, prefix);

  /** Begins a walk through all keys, or goes on with one. */
  const walkFrom = async (walk: Walk | undefined): Promise<Walk> => {
    const { servers } = scan;
    const beginning = { servers, hasEnded: false, position: BEGINNING };
    if (walk === undefined) return { ...beginning, until: await scan.times() };
    if (walk.servers === servers) return walk;
    // Which clock is whose is not known any more.
    const latest = Math.max(...walk.until);
    return { ...beginning, until: servers.split(",").map(() => latest) };
  };

  return {
    async count(cursor) {
      const { names, next } = await scan.step(positionIn(cursor), COUNTED_AT_ONCE);
      const parts = partsOf(names, client.isCluster ? 1 : COUNTED_AT_ONCE);
      const counts = await inTurns(parts, async (part) => {
        const keys = part.map((name) => prefix + name);
        return Number(await client.run(COUNT, keys));
      });
      const count = counts.reduce((sum, it) => sum + it, 0);
      return { count, ...(next && { next: cursorOf(next) }) };
    },

    async page({ cursor, entries } = {}) {
      const { names, next } = await scan.step(positionIn(cursor), PAGE_SIZE);
      const all = await findAll(names, entries);
      // An old key leads to a session that is met under its own.
      const records = all.flatMap(({ record, isMoved }) => (record && !isMoved ? [record] : []));
      return { records, ...(next && { next: cursorOf(next) }) };
    },

    // The key that a session had at first stays in place, leading to it, for a minute: in a walk of less
    // than that it is met, however often it is renewed. Therefore old keys count, and a walk that has ended
    // something is followed by another.
    async destroyPage({ cursor, operation }) {
      const before = cursor === undefined ? undefined : (JSON.parse(cursor) as Walk);
      const walk = await walkFrom(before);
      const { names, next } = await scan.step(walk.position, PAGE_SIZE);
      const found = await findAll(names, NO_ENTRIES);
      const until = walk.until[walk.position.node] ?? 0;
      const due = names.filter((_, n) => (found[n]?.record?.createdAt ?? Infinity) <= until);
      const hasEnded = walk.hasEnded || due.length > 0;
      const goesOn: Walk | undefined = next
        ? { ...walk, hasEnded, position: next }
        : hasEnded
          ? { ...walk, hasEnded: false, position: BEGINNING }
          : undefined;
      const plan = await once<Plan>({ due, ...(goesOn && { goesOn }) }, operation, isPlan);
      const ends = await inTurns(plan.due, (name) => end(name, operation));
      // A key and an old key of one session lead to the same end.
      const ended = new Map(ends.flatMap((it) => (it ? [[it.publicId, it]] : [])));
      return {
        ended: [...ended.values()],
        ...(plan.goesOn && { next: JSON.stringify(plan.goesOn) }),
      };
    },
  };
}

/** The progress of an operation that ends all sessions. */
interface Walk {
  /** Sessions that began later stay. Each server has its own clock. */
  readonly until: readonly number[];
  /** If these have changed, the walk begins again. */
  readonly servers: string;
  readonly hasEnded: boolean;
  readonly position: Position;
}

/** The sessions that one step ends, and the place where the next step begins. */
interface Plan {
  readonly due: readonly string[];
  readonly goesOn?: Walk;
}

function isPlan(it: unknown): it is Plan {
  const { due, goesOn } = (it ?? {}) as Partial<Record<keyof Plan, unknown>>;
  return isTexts(due) && (goesOn === undefined || (typeof goesOn === "object" && goesOn !== null));
}

const positionIn = (cursor: string | undefined): Position =>
  cursor === undefined ? BEGINNING : (JSON.parse(cursor) as Position);

const cursorOf = (position: Position): string => JSON.stringify(position);
