/** What docs/evidence.md shows, in this order: what it is about, and the command that finds it out. */
export const TOPICS = [
  ["probe", "What holds when requests cross, here and elsewhere", "npm run probe"],
  [
    "model",
    "The models: commit, renewal, destroy and resend; attach and terminate",
    "npm run model",
  ],
  ["simulate", "The project's own code in a simulated world", "npm run simulate"],
  ["simulate-mutants", "Faults that the simulation finds", "npm run simulate -- --mutants"],
  [
    "mutation",
    "Mutants of the code that the tests kill",
    "npm run mutate -- flash session clients pubsub channels session-redis session-sqlite session-postgres --count 40",
  ],
  ["soak", "People on two apps, while what they stand on fails", "npm run soak -- --minutes 60"],
  ["runtimes", "The runtimes", "npm exec -- node scripts/runtimes.js"],
  ["micro", "A session's own cost", "npm run bench -- micro"],
  ["http", "Requests a second", "npm run bench -- http"],
  ["redis", "Requests a second, with sessions in Redis", "npm run bench -- redis"],
  ["memory", "Sessions in memory", "npm run bench -- memory"],
  ["size", "Sessions in a store", "npm run bench -- size"],
  ["growth", "How cost grows", "npm run bench -- growth"],
  ["tabs", "Tabs of one channel", "npm run bench -- tabs"],
  ["storm", "What pages lose in a storm", "npm run bench -- storm"],
  ...[
    ["memory", "in memory"],
    ["redis", "on Redis"],
    ["nats", "on NATS"],
  ].map(([bus, where]) => [
    `storm-${bus}`,
    `Three tabs of Chromium in a hundred storms, ${where}`,
    `npm run test:long -- packages/channels/test/storm-${bus}`,
  ]),
  ["pubsub", "Messages in one process", "npm run bench -- pubsub"],
  ["pubsub-redis", "Messages by Redis", "npm run bench -- pubsub-redis"],
  ["pubsub-nats", "Messages by NATS", "npm run bench -- pubsub-nats"],
].map(([name, title, command]) => ({ name, title, command }));

/** A chart for light and dark pages, as GitHub shows it. */
const picture = (topic, chart) => {
  const file = (theme) => `evidence/${topic}-${chart}-${theme}.svg`;
  return (
    `<picture><source media="(prefers-color-scheme: dark)" srcset="${file("dark")}">` +
    `<img src="${file("light")}" alt="${chart}"></picture>`
  );
};

/** The headings of a result are below the page's. */
const lower = (markdown) => markdown.replaceAll(/^(#+) /gm, "$1# ");

const section = ({ name, title, command }, result) => {
  const head = `## ${title}\n\n    ${command}\n`;
  if (!result) return `${head}\nNot measured yet.\n`;
  const pictures = result.charts.map((chart) => `\n${picture(name, chart)}\n`).join("");
  return `${head}\n${result.about}\n${pictures}\n${lower(result.text)}\n`;
};

/** The page, of the results by topic; of each `charts` are the names of its charts. */
export const page = (results) =>
  [
    "# Evidence",
    "",
    "The newest results, each with the command that found them. `npm run evidence` reads the newest results of these commands and writes this page; with `-- --run` it runs the commands first, which takes hours and needs an idle machine. A benchmark that reports a machine as too noisy is left out.",
    "",
    ...TOPICS.map((topic) => section(topic, results[topic.name])),
  ].join("\n");
