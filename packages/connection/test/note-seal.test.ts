import { createSecretKey } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { NoteSeal, type Received } from "../src/note-seal.ts";

const key = (letter: string) => createSecretKey(Buffer.from(letter.repeat(32)));
const MINUTE = 60_000;
const seal = (node: string, letters = "k", window?: number) =>
  new NoteSeal({
    ...{ node, purpose: "test", keys: [...letters].map(key) },
    ...(window !== undefined && { window }),
  });

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"] }));
afterEach(() => void vi.useRealTimers());

describe("C9: with keys a note", () => {
  const sender = seal("a");
  const receiver = seal("b");
  const read = (text: string, received: Received = new Map(), subject = "s") => {
    const opened = receiver.read(subject, text, received);
    return opened.status === "refused" ? opened.reason : opened.status;
  };

  test("is accepted once, and not before an earlier one of its sender", () => {
    const [first, second, third] = [1, 2, 3].map((n) => sender.write("s", { n }));
    const received: Received = new Map();
    expect(read(first ?? "", received)).toBe("accepted");
    expect(read(first ?? "", received)).toBe("repeated");
    // A lost note is no reason to refuse the next.
    expect(read(third ?? "", received)).toBe("accepted");
    expect(read(second ?? "", received)).toBe("repeated");
  });

  test("counts for its subject, its sender and its content alone", () => {
    const text = sender.write("s", { n: 1 });
    expect(read(text, new Map(), "other")).toBe("forged");
    expect(read(text.replace('"n":1', '"n":2'))).toBe("forged");
    expect(read(text.replace('"node":"a"', '"node":"c"'))).toBe("forged");
    expect(read(text.replace(/"counter":\d+/, '"counter":999'))).toBe("forged");
    expect(read(text.replace(/"time":\d+/, '"time":999'))).toBe("forged");
    expect(read(`A${text.slice(1)}`)).toBe(text.startsWith("A") ? "accepted" : "forged");
  });

  test("needs a key that the receiver has", () => {
    expect(read(seal("a", "x").write("s", {}))).toBe("forged");
    expect(read(seal("a", "").write("s", {}))).toBe("unsigned");
    const rotated = seal("b", "nk");
    expect(rotated.read("s", sender.write("s", {}), new Map()).status).toBe("accepted");
  });

  test("and a receiver without keys refuses those that are signed", () => {
    const opened = seal("b", "").read("s", sender.write("s", {}), new Map());
    expect(opened).toEqual({ status: "refused", reason: "signed" });
  });

  test("that is older than a minute is refused by whoever knows none of its sender, such as a process that has just started", () => {
    const text = sender.write("s", {});
    vi.setSystemTime(Date.now() + MINUTE + 1);
    expect(read(text)).toBe("late");
    vi.setSystemTime(Date.now() - 2 * MINUTE - 2);
    expect(read(text)).toBe("late");
  });

  test("of another package is refused, and one of a retained subject may be as old as that says", () => {
    const other = new NoteSeal({ node: "a", purpose: "other", keys: [key("k")] });
    expect(read(other.write("s", {}))).toBe("forged");
    const text = sender.write("s", {});
    vi.setSystemTime(Date.now() + 2 * MINUTE);
    expect(seal("b", "k", 3 * MINUTE).read("s", text, new Map()).status).toBe("accepted");
    expect(seal("b").read("s", text, new Map())).toMatchObject({ reason: "late" });
  });

  test("that waited while the receiver stood still is accepted, if it knows the sender", () => {
    const received: Received = new Map();
    expect(read(sender.write("s", {}), received)).toBe("accepted");
    const text = sender.write("s", {});
    vi.setSystemTime(Date.now() + 60 * MINUTE);
    expect(read(text, received)).toBe("accepted");
    expect(read(text, received)).toBe("repeated");
  });

  test("of any form but a note's is ignored", () => {
    for (const text of ["", "x", "{", "[]", "null", '{"v":2,"node":"a"}', "[".repeat(1e5)]) {
      expect(read(text)).toBe("ignored");
    }
  });

  test("leaves a bounded trace: senders that are silent are forgotten, and their notes stay refused", () => {
    const received: Received = new Map();
    const old = seal("old").write("s", {});
    expect(read(old, received)).toBe("accepted");
    vi.setSystemTime(Date.now() + 3 * MINUTE);
    for (let n = 0; n < 1_100; n++) {
      expect(read(seal(`n${n}`).write("s", {}), received)).toBe("accepted");
    }
    expect(received.has("old")).toBe(false);
    expect(read(old, received)).toBe("late");
  });
});
