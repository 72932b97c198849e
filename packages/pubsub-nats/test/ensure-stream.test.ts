import { JetStreamApiError } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { ensureStream } from "../src/streams/ensure-stream.ts";

const OVERLAP = { code: 400, err_code: 10065, description: "subjects overlap" };
const MISSING = { code: 404, err_code: 10059, description: "stream not found" };

/** A server that refuses to make a stream, because its subjects are taken. */
function serverWith(existing: object | undefined) {
  const updates: object[] = [];
  const streams = {
    add: () => Promise.reject(new JetStreamApiError(OVERLAP)),
    info: async () => {
      if (!existing) throw new JetStreamApiError(MISSING);
      return { config: existing };
    },
    update: async (_name: string, wanted: object) => void updates.push(wanted),
  };
  const ensure = () =>
    ensureStream(
      { call: (ask: () => unknown) => ask() } as never,
      { streams } as never,
      { prefix: "app", storage: "memory", replicas: 1 } as never,
      { name: "chat", subjects: ["room.x"], maxMsgs: 10, maxAge: Infinity },
    );
  return { ensure, updates };
}

test("P11: subjects that this very stream has already, as another process makes it, are no overlap", async () => {
  const { ensure, updates } = serverWith({
    ...{ name: "chat", subjects: ["app.room.y"], retention: "limits" },
  });
  await ensure();
  expect(updates).toMatchObject([{ subjects: ["app.room.x"] }]);
});

test("subjects of another stream are refused with what the server says", async () => {
  const { ensure, updates } = serverWith(undefined);
  await expect(ensure()).rejects.toMatchObject({
    code: "ERR_PUBSUB_STREAM",
    message: "the stream chat can't be like this: subjects overlap",
  });
  expect(updates).toEqual([]);
});
