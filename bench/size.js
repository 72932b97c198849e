import { startPinned } from "./lib/child.js";
import { fixed, table } from "./lib/text.js";

const STORES = { redisStore: "redis", sqliteStore: "sqlite" };

const fill = async (store, sessions) => {
  const child = await startPinned("fill-store.js", [store, String(sessions)]);
  await child.stop();
  console.error(`size ${store}`);
  return child.first;
};

/** What sessions take in a store, and whether a user's are found as fast among many. */
export const size = async (_variants, { sessions }) => {
  const data = {};
  for (const [name, store] of Object.entries(STORES)) data[name] = await fill(store, sessions);
  const all = Object.entries(data);
  const own = all[0][1].ownData;
  const rows = all.map(([name, it]) => [
    name,
    ...[it.perSession, it.create, it.open, it.write].map((number) => fixed(number)),
    ...it.lists.map(({ list }) => fixed(list)),
  ]);
  const head = [
    ...["store", "bytes/session", "create µs", "open µs", "write µs"],
    ...all[0][1].lists.map((it) => `list µs, of ${it.sessions.toLocaleString("en")}`),
  ];
  const text = [
    `${sessions.toLocaleString("en")} sessions of four short keys and a user, of which each has four. Of the bytes for each, indexes included, ${fixed(own)} are its own names and values. With all of them there, through the manager: the time to open one; to open one and write a key; to list a user's, with fewer sessions there, too. To create one is on average, 50 at once.`,
    table(head, rows),
  ];
  return { data, text: text.join("\n\n") };
};
