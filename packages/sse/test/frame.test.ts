import { createParser, type EventSourceMessage } from "eventsource-parser";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { comment, frame, type SseEvent } from "../src/frame.ts";

function parsed(text: string) {
  const events: EventSourceMessage[] = [];
  const comments: string[] = [];
  const retries: number[] = [];
  const errors: unknown[] = [];
  const parser = createParser({
    onEvent: (event) => events.push(event),
    onComment: (it) => comments.push(it),
    onRetry: (retry) => retries.push(retry),
    onError: (error) => errors.push(error),
  });
  parser.feed(text);
  return { events, comments, retries, errors };
}

describe("an event", () => {
  test("is what HTML has it to be", () => {
    expect(frame({ id: "7", event: "notice", data: "hi", retry: 50 })).toBe(
      "id: 7\nevent: notice\nretry: 50\ndata: hi\n\n",
    );
    expect(frame({ data: "a\nb\r\nc\rd" })).toBe("data: a\ndata: b\ndata: c\ndata: d\n\n");
    expect(frame({ data: "" })).toBe("data: \n\n");
    expect(frame({ id: "" })).toBe("id: \n\n");
  });

  test("of an id alone is seen by no page", () => {
    expect(parsed(frame({ id: "7" })).events).toEqual([]);
  });

  test.each<[data: unknown, sent: string]>([
    ["text", "text"],
    [{ a: 1 }, '{"a":1}'],
    [[1, "2"], '[1,"2"]'],
    [0, "0"],
    [false, "false"],
    [null, "null"],
  ])("of %j has the data %s", (data, sent) => {
    expect(parsed(frame({ data })).events.map((it) => it.data)).toEqual([sent]);
  });

  test("that a bus has made is sent without what is not of the protocol", () => {
    const event = { id: "7", subject: "chat.general", data: "x", time: 1, replayed: true };
    expect(frame(event)).toBe("id: 7\ndata: x\n\n");
  });
});

describe("no field can begin another line:", () => {
  test.each<[what: string, event: object, message: string]>([
    ["LF in an id", { id: "a\ndata: x" }, "an event's id must be"],
    ["CR in an id", { id: "a\rdata: x" }, "an event's id must be"],
    ["U+0000 in an id", { id: "a\0" }, "an event's id must be"],
    ["half a character in an id", { id: "\ud800" }, "an event's id must be"],
    ["an id of 1,025 bytes", { id: "é".repeat(513) }, "an event's id must be"],
    ["an id that is no string", { id: 7 }, "an event's id must be"],
    ["LF in a name", { event: "a\ndata: x" }, "an event's name must be"],
    ["CR in a name", { event: "a\r\ndata: x" }, "an event's name must be"],
    ["a name that is no string", { event: {} }, "an event's name must be"],
    ["a retry that is no number", { retry: "5\ndata: x" }, "an event's retry must be"],
    ["a retry below 0", { retry: -1 }, "an event's retry must be"],
    ["a retry of half a millisecond", { retry: 0.5 }, "an event's retry must be"],
    ["data that JSON has not", { data: () => {} }, "an event's data must be"],
  ])("%s is a TypeError that doesn't tell the value", (_what, event, message) => {
    const send = () => frame(event as SseEvent);
    expect(send).toThrow(TypeError);
    expect(send).toThrow(message);
    expect(send).not.toThrow(/data: x/);
  });

  test("whatever the data and the comments, a reader gets them back, and nothing else", () => {
    const line = fc
      .string({ unit: "binary", maxLength: 20 })
      .filter((text) => !/[\r\n\0]/.test(text) && text.isWellFormed());
    const pieces = fc.array(
      fc.constantFrom("\n", "\r", "\r\n", "data: x", "id: 1", ":", " ", "\0", "é", "event"),
    );
    fc.assert(
      fc.property(line, line, pieces, pieces, (id, event, data, said) => {
        const text = data.join("");
        const out = parsed(comment(said.join("")) + frame({ id, event, data: text }));
        expect(out.errors).toEqual([]);
        const name = event === "" ? undefined : event;
        expect(out.events).toEqual([{ id, event: name, data: text.replaceAll(/\r\n?/g, "\n") }]);
      }),
    );
  });
});
