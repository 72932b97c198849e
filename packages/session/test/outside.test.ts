import { createSessions, memoryStore } from "@lanai/session";
import { expect, test } from "vitest";

const DAY = 86_400_000;

test("ids are those of the generator that was given", async () => {
  let made = 0;
  const generator = {
    generate: () => `eu-${made++}`.padEnd(24, "x"),
    isValid: (id: string) => id.startsWith("eu-"),
  };
  const sessions = createSessions({ store: memoryStore(), generator });
  const { session } = await sessions.create({ userId: "ada" });
  expect(session.id).toBe("eu-0xxxxxxxxxxxxxxxxxxxx");
  session.renewId();
  await session.commit();
  expect(session.id).toBe("eu-1xxxxxxxxxxxxxxxxxxxx");
  expect((await sessions.open("eu-1xxxxxxxxxxxxxxxxxxxx"))?.userId).toBe("ada");
});

test("a session that is opened by its id can be given a longer life", async () => {
  let now = Date.now();
  const sessions = createSessions({ store: memoryStore({ clock: () => now }) });
  const { session } = await sessions.create({ userId: "ada" });
  const { id = "" } = session;

  const opened = await sessions.open(id);
  opened?.persist(30 * DAY);
  await opened?.commit();

  now += 29 * DAY;
  expect((await sessions.open(id))?.userId).toBe("ada");
  now += DAY;
  expect(await sessions.open(id)).toBeUndefined();
});
