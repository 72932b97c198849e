import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const read = (file: string): string =>
  readFileSync(join(import.meta.dirname, "../..", file), "utf8");

/** Returns the names of the options of an interface. */
function optionsOf(file: string, name: string): string[] {
  const [, body = ""] =
    new RegExp(`interface ${name}[^{]*\\{\n(.*?)\n\\}`, "s").exec(read(file)) ?? [];
  return [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, option = ""]) => option);
}

const UPGRADE = ["packages/websocket/src/options.ts", "UpgradeOptions"] as const;
const STREAM = ["packages/sse/src/options.ts", "SseStreamOptions"] as const;
const ATTACH = ["packages/clients/src/options.ts", "AttachOptions"] as const;

const WRAPPED: [name: string, readme: string, wrapped: readonly [string, string]][] = [
  ["clients.attach", "packages/clients/README.md", UPGRADE],
  ["clients.attach", "packages/clients/README.md", STREAM],
  ["channels", "packages/channels/README.md", UPGRADE],
  ["channels", "packages/channels/README.md", STREAM],
  ["channels", "packages/channels/README.md", ATTACH],
];

test.each(WRAPPED)(
  "%s: its README says of each option of what it wraps how it is set: %s, %s",
  (_name, readme, wrapped) => {
    const options = optionsOf(...wrapped);
    expect(options.length).toBeGreaterThan(2);
    const text = read(readme);
    expect(options.filter((it) => !new RegExp(`\`[^\`]*\\b${it}\\b[^\`]*\``).test(text))).toEqual(
      [],
    );
  },
);
