// Draws the charts of the root README from its tables: `node scripts/docs/charts.js`.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { draw } from "../../bench/lib/chart.js";
import { root } from "../node.js";

/** The rows of the README's tables between the marks of the benchmark, by table. */
const tables = () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const [, block = ""] = readme.match(/<!-- bench -->(.*?)<!-- \/bench -->/s) ?? [];
  return block
    .split(/\n\n+/)
    .filter((part) => part.startsWith("|"))
    .map((part) =>
      part
        .split("\n")
        .slice(2)
        .map((line) =>
          line
            .split("|")
            .slice(1, -1)
            .map((cell) => cell.trim()),
        ),
    );
};

/** A chart of one column. It has a background of its own, so that it is readable on any page. */
const chartOf = (title, rows, column) => {
  const { light } = draw({
    kind: "bars",
    title,
    rows: rows.map((cells) => ({
      label: cells[0].replaceAll(/[*`]/g, ""),
      value: Number(cells[column]),
      isOurs: cells[0].includes("**"),
    })),
    format: (value) => value.toFixed(2),
  });
  const [, width, height] = light.match(/viewBox="0 0 (\d+) (\d+)"/);
  return light
    .replace(
      /viewBox="[^"]*" width="\d+" height="\d+"/,
      `viewBox="-16 -12 ${Number(width) + 32} ${Number(height) + 20}" width="${Number(width) + 32}" height="${Number(height) + 20}"`,
    )
    .replace(
      ">\n",
      `>\n<rect x="-16" y="-12" width="${Number(width) + 32}" height="${Number(height) + 20}" rx="8" fill="#fff"/>\n`,
    );
};

/** Returns the charts, by their files. */
export const charts = () => {
  const [memory, redis, pubsub] = tables();
  return {
    "docs/images/bench-memory.svg": chartOf(
      "Requests a second as a part of bare Koa's: one key read, in memory or a cookie",
      memory,
      2,
    ),
    "docs/images/bench-redis.svg": chartOf(
      "Requests a second as a part of Koa with one HGETALL: one key read, in Redis",
      redis,
      2,
    ),
    "docs/images/bench-pubsub.svg": chartOf(
      "Messages a second as a part of what carries them",
      pubsub,
      2,
    ),
  };
};

if (process.argv[1] === import.meta.filename) {
  for (const [file, text] of Object.entries(charts())) writeFileSync(join(root, file), text);
}
