import { expect, test } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { frame, handshake, RawClient } from "./raw-client.ts";
import { appOf, siteOf } from "./site.ts";

const text = (payload: string): Buffer => frame(Buffer.from(payload), 1);

/** A client that has sent messages before it has read the close frame. */
async function crossing(end: "close" | "finish") {
  const heard: string[] = [];
  const site = await siteOf(
    appOf((socket) => void socket.on("message", (data) => heard.push(String(data)))),
  );
  const client = await RawClient.to(site.port);
  client.socket.write(handshake());
  await client.until("\r\n\r\n");
  client.socket.write(text("before"));
  await until(() => expect(heard).toEqual(["before"]));
  const [socket] = site.upgrades.sockets;
  const closed = socket?.[end](1012, "restart");
  client.socket.write(text("crossed"));
  return { site, client, heard, closed };
}

test("what a client sent before it knew of the end is delivered by finish, and not by close", async () => {
  for (const end of ["finish", "close"] as const) {
    const { site, client, heard, closed } = await crossing(end);
    await using _ = site;
    using __ = client;
    // The client's close frame.
    client.socket.write(frame(Buffer.from([0x03, 0xf4]), 8));
    await closed;
    await client.closed;
    expect(heard).toEqual(end === "finish" ? ["before", "crossed"] : ["before"]);
  }
});

test("a client that doesn't answer is cut off when closeTimeout is over, and finish resolves", async () => {
  const { site, client, closed } = await crossing("finish");
  await using _ = site;
  using __ = client;
  await closed;
  await client.closed;
  expect(site.upgrades.sockets.size).toBe(0);
});

test("upgrades.close delivers what crosses it, and resolves when all are gone", async () => {
  const { site, client, heard } = await crossing("finish");
  await using _ = site;
  using __ = client;
  const closing = site.upgrades.close();
  client.socket.write(frame(Buffer.from([0x03, 0xf4]), 8));
  await closing;
  expect(heard).toEqual(["before", "crossed"]);
});
