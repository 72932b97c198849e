import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");

/**
 * Phrases that readers have to decipher, each with what to write instead: the right-hand column of
 * the table of words that this repository keeps to.
 */
const PHRASES: readonly (readonly [pattern: RegExp, instead: string])[] = [
  [
    /\banswered\b|\banswering\b|(?<!\b(?:the|no|its|all|these|those|of|and|or|several|late|first|outstanding) )\banswers\b/gi,
    "returns, resolves to, responds with",
  ],
  [/\b(?:tells?|told)\b/gi, "emits, reports, says"],
  [/\bfails? with\b/gi, "rejects with, throws"],
  [/(?<!\b(?:code|codes|error|503)`* )\b(?:is|are|be) `ERR`/g, "rejects with ERR_…, throws ERR_…"],
  [/\b(?:is|are|was|were|be) away\b/gi, "is unreachable, is down"],
  [/\b(?:takes? a look|looked at|looks whether)\b/gi, "checks"],
  [/\blooks (?:again|at)\b|\btwo looks\b/gi, "checks, compares, checks again"],
  [
    /\bwhat may wait\b|\bhow long nobody\b|\bwhere to send (?:the others|those)\b/gi,
    "the field's own term",
  ],
  [/\bwhose ends\b/gi, "the listeners are closed when the session ends"],
];

/** Fragments: a doc comment that can't be read without the declaration below it. */
const FRAGMENT =
  /^\s*(?:\/\*\*|\*) (?:What|Of|By what|As to|How|Whose|Which|Where|When|In which|For how|By which|Until when|Over how|After how|On how|By|Why|For which)\b/;

/** Uses that mean something else, beside the nouns that the pattern of "answers" allows. */
const ALLOWED: readonly RegExp[] = [
  // A full sentence that begins with a condition or a place.
  /^\s*(?:\/\*\*|\*) (?:When|Where) .*,/,
];

/** These leave the navigation: tests read their rows. */
const EXEMPT = ["docs/laws.md", "docs/features.md"];

/** A span of code, of which only the code of an error is kept. */
const spanOf = (span: string) => (span.startsWith("`ERR_") ? "`ERR`" : "``");

/** A line of a text that people read, without code. */
function prose(file: string): string[] {
  const text = readFileSync(join(root, file), "utf8");
  if (file.endsWith(".md"))
    return text
      .replace(/^```.*?^```$/gms, "")
      .replace(/`[^`\n]*`/g, spanOf)
      .split("\n");
  const comments = text.match(/\/\*\*.*?\*\//gs) ?? [];
  return comments.flatMap((comment) => comment.replace(/`[^`\n]*`/g, spanOf).split("\n"));
}

function hits(file: string): string[] {
  const found: string[] = [];
  for (const line of prose(file)) {
    for (const [pattern, instead] of PHRASES) {
      for (const [phrase] of line.matchAll(pattern)) found.push(`"${phrase}": ${instead}`);
    }
    if (!file.endsWith(".md") && FRAGMENT.test(line) && !ALLOWED.some((use) => use.test(line))) {
      found.push(`a fragment: ${line.trim()}`);
    }
  }
  return found;
}

const files = globSync(
  [
    "*.md",
    "docs/**/*.md",
    "packages/channels/WIRE.md",
    "{packages,examples,bench}/**/README.md",
    "{packages,examples}/*/src/**/*.ts",
  ],
  { cwd: root, exclude: ["**/node_modules/**", "**/dist/**"] },
)
  .map((file) => file.replaceAll("\\", "/"))
  .filter((file) => !EXEMPT.includes(file) && !file.includes("CHANGELOG"))
  .sort();

describe("what people read is plain English", () => {
  test("no phrase that readers have to decipher", () => {
    expect(files.length).toBeGreaterThan(300);
    const wrong = files.flatMap((file) => hits(file).map((hit) => `${file}: ${hit}`));
    expect(wrong).toEqual([]);
  });

  test.each([
    ["The call answers a session.", 1],
    ["Nobody waits for the answers to it.", 0],
    ["The server is away.", 1],
    ["It fails with a code.", 1],
    ["The event tells why.", 1],
    ["Whoever does it looks again.", 1],
    ["Between two looks.", 1],
    ["Told of each failure.", 1],
    ["A call after it is `ERR`.", 1],
    ["Its code is `ERR`.", 0],
  ])("finds what is meant: %s", (line, count) => {
    const found = PHRASES.flatMap(([pattern]) => [...line.matchAll(pattern)]);
    expect(found).toHaveLength(count);
  });
});
