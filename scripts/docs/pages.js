// The pages of the site: where each comes from, relative to the repository, and where it goes.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { root } from "../node.js";

/** A page of docs/, by the name of its file. */
const doc = (name, title) => ({ from: `docs/${name}.md`, to: `${name}.md`, title });

/** The packages in the order of the root README's table. */
export const PACKAGES = [
  "session",
  "session-sqlite",
  "session-redis",
  "session-postgres",
  "session-jwt",
  "session-bound",
  "session-compat",
  "same-origin",
  "flash",
  "pubsub",
  "pubsub-redis",
  "pubsub-nats",
  "clients",
  "websocket",
  "sse",
  "channels",
  "browser",
  "connection",
];

/** What the navigation shows. A page of docs/ that isn't there yet is left out. */
export const SECTIONS = [
  {
    title: "Start",
    pages: [
      doc("getting-started", "Getting started"),
      doc("choosing", "Choosing packages"),
      doc("concepts", "Concepts and glossary"),
      { to: "questions.md", title: "Common questions" },
      doc("promises", "What Lanai promises"),
    ],
  },
  {
    title: "Sessions",
    pages: [
      doc("middleware", "Where to mount a middleware"),
      doc("stores", "Choosing a store"),
      doc("trackers", "Trackers and JWT"),
      doc("flash", "Flash messages"),
      doc("account", "Account pages"),
      doc("moving", "Moving from other packages"),
    ],
  },
  {
    title: "Live",
    pages: [
      doc("publish-subscribe", "Pub/sub"),
      doc("pubsub", "Choosing a pub/sub backend"),
      doc("live", "Live connections"),
      doc("browser", "Channels and the browser client"),
      {
        from: "packages/channels/WIRE.md",
        to: "packages/channels-wire.md",
        title: "The wire of channels",
      },
    ],
  },
  {
    title: "Running an app",
    pages: [
      doc("security", "Security"),
      doc("production", "Production"),
      doc("testing", "Testing your app"),
      doc("troubleshooting", "Troubleshooting"),
      doc("extending", "Writing a store, tracker, backend or transport"),
    ],
  },
  {
    title: "Packages",
    collapsed: true,
    pages: PACKAGES.map((name) => ({
      from: `packages/${name}/README.md`,
      to: `packages/${name}.md`,
      title: `@lanai/${name}`,
    })),
  },
  {
    title: "API reference",
    collapsed: true,
    pages: PACKAGES.map((name) => ({ to: `api/${name}.md`, title: `@lanai/${name}` })),
  },
];

const present = new Set(readdirSync(join(root, "docs")));
for (const section of SECTIONS) {
  section.pages = section.pages.filter(
    ({ from }) => !from?.startsWith("docs/") || present.has(from.slice("docs/".length)),
  );
}

/** Pages that others link to, outside the navigation. */
const OTHERS = [
  { from: "README.md", to: "index.md", title: "Lanai" },
  doc("laws", "The laws"),
  doc("features", "The features"),
  doc("evidence", "Evidence"),
  { from: "docs/contributing/decisions.md", to: "contributing/decisions.md", title: "Decisions" },
  { from: "docs/contributing/formats.md", to: "contributing/formats.md", title: "Formats" },
  { from: "CONTRIBUTING.md", to: "contributing.md", title: "Contributing" },
  { from: "bench/README.md", to: "bench.md", title: "The benchmarks" },
];

/** Every page that is a file of the repository. */
export const COPIED = [...SECTIONS.flatMap(({ pages }) => pages), ...OTHERS].filter(
  ({ from }) => from !== undefined,
);
