import { startPinned } from "./lib/child.js";
import { fixed, table } from "./lib/text.js";

/** What sessions take in a SQLite file, and whether a user's are found as fast among many. */
export const sqliteSize = async (_variants, { sessions }) => {
  const child = await startPinned("fill-sqlite.js", [String(sessions)]);
  await child.stop();
  const it = child.first;
  const rows = it.lists.map(({ sessions, list }) => [sessions.toLocaleString("en"), fixed(list)]);
  return {
    data: it,
    text: [
      `${it.sessions.toLocaleString("en")} sessions of four short keys and a user:`,
      "",
      `- ${fixed(it.perSession)} bytes of the file for each, indexes included; its own names and values are ${fixed(it.ownData)}`,
      `- through the manager, with all of them there: ${fixed(it.open)} µs to open one, ${fixed(it.write)} µs to open one and write a key; ${fixed(it.create)} µs to create one, on average`,
      "- the list of a user's four sessions:",
      "",
      table(["sessions in the file", "µs"], rows),
    ].join("\n"),
  };
};
