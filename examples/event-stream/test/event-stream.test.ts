import { join } from "node:path";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "../../../scripts/services/server-process.ts";
import { startProgram } from "../../program.ts";

let program: AsyncDisposable;
let url: string;

beforeAll(async () => {
  const port = await freePort();
  program = await startProgram(join(import.meta.dirname, ".."), "src/main.ts", port, {});
  url = `http://127.0.0.1:${port}`;
});

afterAll(() => program[Symbol.asyncDispose]());

async function first(headers: Record<string, string> = {}): Promise<EventSourceMessage> {
  const { body } = await fetch(`${url}/events`, { headers });
  const events: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => events.push(event) });
  for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    parser.feed(chunk);
    if (events[0]) return events[0];
  }
  throw new Error("the stream ended without an event");
}

test("the stream counts from 1, or on from the last number that the client got", async () => {
  const one = await first();
  expect([one.id, one.event, JSON.parse(one.data).n]).toEqual(["1", "tick", 1]);
  expect((await first({ "Last-Event-ID": "41" })).id).toBe("42");
  expect((await first({ "Last-Event-ID": "no number" })).id).toBe("1");
});

test("the page is there", async () => {
  const page = await fetch(url);
  expect(page.headers.get("content-type")).toMatch(/^text\/html/);
  expect(await page.text()).toContain('new EventSource("/events")');
});
