import { createSessions, memoryStore } from "@lanai/session";
import { expect, test } from "vitest";

test.each([
  ["empty", ""],
  ["of 257 characters", "a".repeat(257)],
  ["with U+0000", "a\0b"],
  ["with half a character", "a\ud800"],
  ["that is a number", 7 as never],
])("a user id %s is refused", async (_what, userId) => {
  const sessions = createSessions({ store: memoryStore() });
  await expect(sessions.create({ userId })).rejects.toThrow(
    "login(userId): userId must be a string of 1 to 256 well-formed characters without U+0000",
  );
});

test("a user id of 256 characters, in any script, is as it was", async () => {
  const sessions = createSessions({ store: memoryStore() });
  const userId = "ü".repeat(256);
  const { session } = await sessions.create({ userId });
  expect(session.userId).toBe(userId);
  expect(await sessions.list({ user: userId })).toHaveLength(1);
});

test("hasSignedIn says whether this request signed a user in, also the same one again", async () => {
  const sessions = createSessions({ store: memoryStore() });
  const { session } = await sessions.create({ userId: "ada" });
  const again = await sessions.open(session.id as string);
  again?.renewId();
  again?.set("theme", "dark");
  expect(again?.hasSignedIn).toBe(false);
  again?.login("ada");
  expect(again?.hasSignedIn).toBe(true);
  await again?.commit();
  expect(again?.hasSignedIn).toBe(true);
});
