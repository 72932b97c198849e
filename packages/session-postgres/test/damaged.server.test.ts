import { randomUUID } from "node:crypto";
import type { NewRecord } from "@lanai/session/store";
import fc from "fast-check";
import type { Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isLong, seed } from "../../../scripts/testing/chance.ts";
import { damagedSessions } from "../../session/test/damaged.ts";
import { type Database, newTable, quietStore, startDatabase } from "./database.ts";

const table = newTable();
let database: Database;
let pool: Pool;

beforeAll(async () => {
  database = await startDatabase({ fsync: "off" });
  pool = database.pool({ max: 3 });
  await quietStore(pool, { table }).migrate();
});
afterAll(() => database?.[Symbol.asyncDispose](), 60_000);

const setColumn = (key: string, column: string, expression: string) =>
  pool.query(`UPDATE ${table} SET ${column} = ${expression} WHERE key = $1`, [key]);

damagedSessions({
  name: "PostgreSQL",
  open: () => quietStore(pool, { table }),
  damage: (key) => setColumn(key, "entries", "'[1, 2]'"),
  damageOther: (key) => setColumn(key, "owners", "array_append(owners, NULL)"),
});

const number = fc.constantFrom("'NaN'", "'-Infinity'", "'Infinity'", "-1", "0", "1e300");
const json = fc
  .json({ maxDepth: 3 })
  .filter((it) => !it.includes("\\u"))
  .map((it) => `'${it.replaceAll("'", "''")}'::jsonb`);
const damage = fc.oneof(
  fc.tuple(fc.constantFrom("created_at", "started_at", "seen_at", "idle", "absolute"), number),
  fc.tuple(
    fc.constant("entries"),
    fc.oneof(json, fc.constantFrom("'null'", `'{"d:a":null}'`, `'{"d:a":{"b":1}}'`, "'1'")),
  ),
  fc.tuple(
    fc.constant("owners"),
    fc.constantFrom("'{NULL}'", "'{NULL,user:ada}'", "'{{a,user:ada},{c,d}}'", "'{}'"),
  ),
  fc.tuple(fc.constantFrom("operations", "old_keys"), fc.constantFrom("'{NULL}'", "'{}'")),
);

const newRecord = (): NewRecord => ({
  operation: randomUUID(),
  publicId: randomUUID(),
  values: new Map([["d:a", "1"]]),
  owners: new Set(["user:ada"]),
  idle: 60_000,
  absolute: 600_000,
});

const outcome = (work: () => Promise<unknown>): Promise<unknown> =>
  work().then(
    (it) => it,
    ({ code, message }: { code?: string; message: string }) => ({ code, message }),
  );

test(`damaged rows are read well-formed, or are ERR_SESSION_DECODE, and each can be ended (LANAI_SEED=${seed})`, async () => {
  const store = quietStore(pool, { table });
  const check = async (damages: readonly (readonly [string, string])[]) => {
    const [key, other] = [`ab.${randomUUID()}`, `ab.${randomUUID()}`];
    await store.create(key, newRecord());
    await store.create(other, newRecord());
    for (const [column, expression] of damages) await setColumn(key, column, expression);
    const refused = {
      code: "ERR_SESSION_DECODE",
      message: "postgresStore: a session's row is not as this store writes it",
    };
    const loaded = await outcome(() => store.load(key));
    const { status } = loaded as { status?: string };
    if (status === "live") expectWellFormed((loaded as { record: object }).record);
    else expect([refused, { status: "none" }]).toContainEqual(loaded);

    // One damaged row hides no other.
    for (const listed of [await store.list("user:ada"), (await store.page()).records]) {
      for (const it of listed) expectWellFormed(it);
      expect(listed.length).toBeGreaterThanOrEqual(1);
    }
    const ended = await store.destroy(key, randomUUID());
    if (status !== "none") expect(ended).toMatchObject({ publicId: expect.any(String) });
    for (const owner of ended?.owners ?? []) expect(owner).toBeTypeOf("string");
    expect(await store.load(key)).toEqual({ status: "none" });
    await pool.query(`DELETE FROM ${table}`);
  };
  await fc.assert(fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 3 }), check), {
    numRuns: isLong ? 5_000 : 50,
    seed,
  });
});

function expectWellFormed(it: object): void {
  for (const [name, value] of Object.entries(it)) {
    if (typeof value === "number") expect(value, name).not.toBeNaN();
    else if (name === "publicId") expect(value).toBeTypeOf("string");
    else for (const text of value.values()) expect(text).toBeTypeOf("string");
  }
  expect(Object.keys(it)).toHaveLength(8);
}
