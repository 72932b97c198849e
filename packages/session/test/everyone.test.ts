import { createSessions, memoryStore } from "@lanai/session";
import type { IndexedStore, PagedStore } from "@lanai/session/store";
import { expect, test } from "vitest";
import { endsItsOwnSession } from "./own-end.ts";
import { steeredStore } from "./steered-store.ts";

async function crowd(size: number) {
  let ahead = 0;
  const store = steeredStore(memoryStore({ clock: () => Date.now() + ahead }));
  const advance = (ms: number) => {
    ahead += ms;
  };
  const sessions = createSessions({ store });
  for (let n = 0; n < size; n++) {
    await sessions.create(n % 2 ? { userId: `user-${n % 7}` } : { values: { secret: n } });
  }
  return { store, sessions, advance };
}

test("U6: an operator counts all sessions and goes through them, and sees no values", async () => {
  const { sessions } = await crowd(230);
  expect(await sessions.count()).toBe(230);
  const seen = new Set<string>();
  for await (const summary of sessions.all()) {
    seen.add(summary.publicId);
    expect(JSON.stringify(summary)).not.toContain("secret");
  }
  expect(seen.size).toBe(230);
});

test("U6: everyone ends, each end is reported once, and none that begins meanwhile ends", async () => {
  const { store, sessions, advance } = await crowd(230);
  const reported: string[] = [];
  let later: Promise<void> | undefined;
  sessions.onEnd(({ publicId }) => {
    later ??= (async () => {
      advance(1);
      await sessions.create({ userId: "late" });
    })();
    reported.push(publicId);
    return later;
  });
  expect(await sessions.destroyAll({ everyone: true })).toBe(230);
  expect(new Set(reported).size).toBe(230);
  expect(reported).toHaveLength(230);
  expect(await sessions.list({ user: "late" })).toHaveLength(1);
  expect(store.calls.filter((it) => it === "destroyPage").length).toBeGreaterThan(1);
});

test("U6: a step whose answer was lost is repeated by the next call, which reports what it ended", async () => {
  const { store, sessions } = await crowd(130);
  const reported = new Set<string>();
  sessions.onEnd(({ publicId }) => void reported.add(publicId));
  const { around } = store;
  store.around = (method, call) => {
    const answer = around(method, call);
    if (method === "destroyPage") throw new Error("the answer was lost");
    return answer;
  };
  await expect(sessions.destroyAll({ everyone: true })).rejects.toMatchObject({
    code: "ERR_SESSION_STORE_UNAVAILABLE",
  });
  store.around = around;
  expect(await sessions.destroyAll({ everyone: true })).toBe(130);
  expect(reported.size).toBe(130);
});

test("a store that can't go through its sessions says so", async () => {
  const { load, create, commit, destroy } = memoryStore();
  const sessions = createSessions({ store: { load, create, commit, destroy } });
  const code = "ERR_SESSION_NOT_PAGED";
  await expect(sessions.count()).rejects.toMatchObject({ code });
  await expect(sessions.destroyAll({ everyone: true })).rejects.toMatchObject({ code });
  const all: IndexedStore & PagedStore = memoryStore();
  expect(await createSessions({ store: all }).count()).toBe(0);
});

endsItsOwnSession({ name: "memory", open: memoryStore });
