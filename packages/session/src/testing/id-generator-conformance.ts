import assert from "node:assert/strict";
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import Koa from "koa";
import type { IdGenerator } from "../id-generator.ts";

/** Options of `idGeneratorConformance`. */
export interface IdGeneratorConformanceOptions {
  /** Begins the name of every test. */
  readonly name: string;
  /** The runner's function: Vitest's, Mocha's or that of `node:test`. */
  readonly test: (name: string, fn: () => Promise<void>) => unknown;
  /** The generator to test. */
  readonly generator: IdGenerator;
}

const SAFE = /^[A-Za-z0-9\-_.~]+$/;
/** 128 bits are 22 characters where each carries six. */
const SHORTEST = 22;
const COUNT = 10_000;

/**
 * The suite for authors of id generators: registers one test for each thing that
 * {@link IdGenerator} promises. Ids are expected to be of one length.
 */
export function idGeneratorConformance({
  name,
  test,
  generator,
}: IdGeneratorConformanceOptions): void {
  const fact = (text: string, fn: () => Promise<void>) => test(`${name}: ${text}`, fn);
  const isInvalid = (id: string, what: string) =>
    assert.equal(generator.isValid(id), false, `${what} is valid`);

  fact("an id can be made outside a request and inside one", async () => {
    const req = new IncomingMessage(new Socket());
    const ctx = new Koa().createContext(req, new ServerResponse(req));
    for (const id of [await generator.generate(), await generator.generate(ctx)]) {
      assert.equal(typeof id, "string");
      assert.equal(generator.isValid(id), true);
    }
  });

  fact(`${COUNT} ids are valid, different and of one length`, async () => {
    const ids = await generate(generator, COUNT);
    assert.ok(ids.every((id) => generator.isValid(id)));
    assert.equal(new Set(ids).size, COUNT);
    assert.equal(new Set(ids.map((id) => id.length)).size, 1);
  });

  fact("ids differ after their first two characters, which a renewal keeps", async () => {
    const ids = await generate(generator, COUNT);
    assert.equal(new Set(ids.map((id) => id.slice(2))).size, COUNT);
  });

  fact(`an id has ${SHORTEST} characters or more, which cookies and headers carry`, async () => {
    for (const id of await generate(generator, 100)) {
      assert.match(id, SAFE);
      assert.ok(id.length >= SHORTEST, `${id.length} characters`);
    }
  });

  fact("the first two characters of one id and the rest of another are valid", async () => {
    const ids = await generate(generator, 100);
    for (const [at, id] of ids.entries()) {
      const rest = ids[(at + 1) % ids.length] ?? "";
      assert.equal(generator.isValid(id.slice(0, 2) + rest.slice(2)), true);
    }
  });

  fact("an id with a character more or less is invalid", async () => {
    const id = await generator.generate();
    isInvalid(id.slice(1), "an id without its first character");
    isInvalid(id.slice(0, -1), "an id without its last character");
    isInvalid(`A${id}`, "an id with a character before it");
    isInvalid(`${id}A`, "an id with a character after it");
    isInvalid(id + id, "an id that is there twice");
  });

  fact("an id with space around it or within is invalid", async () => {
    const id = await generator.generate();
    for (const space of [" ", "\t", "\n", "\r\n", "\0", "\u00a0", "\ufeff"]) {
      isInvalid(id + space, `an id with ${JSON.stringify(space)} after it`);
      isInvalid(space + id, `an id with ${JSON.stringify(space)} before it`);
      isInvalid(replaceAt(id, 5, space), `an id with ${JSON.stringify(space)} within`);
    }
  });

  fact("an id is in one case, or case tells ids apart", async () => {
    const ids = await generate(generator, 100);
    const isOneCase = (change: (id: string) => string) => ids.every((id) => change(id) === id);
    const swap = (id: string) => (id === id.toLowerCase() ? id.toUpperCase() : id.toLowerCase());
    if (!isOneCase((id) => id.toLowerCase()) && !isOneCase((id) => id.toUpperCase())) return;
    for (const id of ids) if (swap(id) !== id) isInvalid(swap(id), "an id in the other case");
  });

  fact("characters that only look like those of an id are invalid", async () => {
    const id = await generator.generate();
    const fullWidth = String.fromCodePoint((id.codePointAt(3) ?? 0) + 0xfee0);
    for (const character of [fullWidth, "\u0430", "\u0131", "\u{1d7d8}", "\ud800", "\u200b", "%"]) {
      isInvalid(replaceAt(id, 3, character), `an id with ${JSON.stringify(character)} in it`);
    }
  });

  fact("hostile text is invalid, and nothing throws", async () => {
    const id = await generator.generate();
    const hostile = {
      nothing: "",
      "a letter": "a",
      "a megabyte": "a".repeat(2 ** 20),
      "a megabyte after an id": id + "a".repeat(2 ** 20),
      "the name of a prototype": "__proto__",
      "the name of a property": "constructor",
      "a path": "../../../../../../../../../../../etc/passwd",
      "zero bytes": "\0".repeat(id.length),
      spaces: " ".repeat(id.length),
      "lone surrogates": "\ud800".repeat(id.length),
      "dots of the same length": ".".repeat(id.length),
      "the words of a protocol": "\r\nDEL *\r\n".padEnd(id.length, "x"),
    };
    for (const [what, text] of Object.entries(hostile)) isInvalid(text, what);
  });
}

async function generate(generator: IdGenerator, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let made = 0; made < count; made++) ids.push(await generator.generate());
  return ids;
}

const replaceAt = (id: string, at: number, character: string): string =>
  id.slice(0, at) + character + id.slice(at + 1);
