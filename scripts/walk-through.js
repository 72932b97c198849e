// Follows docs/getting-started.md to its end, in empty folders, with the packages as npm would pack
// them: `npm run walk-through`, after `npm run build`. Once in each form: TypeScript, JavaScript
// modules and CommonJS. What the page's commands print must be what the page says.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { asCommonJs } from "./docs/common-js.js";
import { root } from "./node.js";

const page = readFileSync(join(root, "docs/getting-started.md"), "utf8");
const address = "http://localhost:3000";

/** The blocks of code that are marked so, without their mark. */
const blocks = (mark) =>
  [...page.matchAll(new RegExp(`^<!-- ${mark} -->\\n\`\`\`\\w+\\n(.*?)^\`\`\`$`, "gms"))].map(
    ([, code]) => code,
  );

/** The commands of the page in their order, each with what it prints. */
const commands = [...page.matchAll(/^```console\n(.*?)^```$/gms)].flatMap(([, block]) =>
  block
    .split(/^\$ /m)
    .slice(1)
    .map((step) => {
      const [command, ...output] = step.trimEnd().split("\n");
      return { command, output: output.join("\n") };
    }),
);

/** The words after `npm install` of the page's commands, without options. */
const installed = (isForDevelopment) =>
  [...page.matchAll(/^npm install (.+)$/gm)]
    .map(([, words]) => words.split(" "))
    .filter((words) => words.includes("--save-dev") === isForDevelopment)
    .flatMap((words) => words.filter((word) => !word.startsWith("-")));

const program = [...blocks("app"), ...blocks("end")].join("\n");

const forms = [
  { file: "app.ts", type: "module", code: program },
  { file: "app.js", type: "module", code: program },
  { file: "app.cjs", type: "commonjs", code: asCommonJs(program) },
];

const npm = (args, cwd) => execFileSync("npm", args, { cwd, encoding: "utf8" });

/** Packs our packages of these names and all of ours that they need. */
const pack = (names, to) => {
  const wanted = new Set(names.filter((name) => name.startsWith("@lanai/")));
  for (const name of wanted) {
    const folder = name.replace("@lanai/", "packages/");
    const { dependencies = {} } = JSON.parse(
      readFileSync(join(root, folder, "package.json"), "utf8"),
    );
    for (const other of Object.keys(dependencies))
      if (other.startsWith("@lanai/")) wanted.add(other);
  }
  const workspaces = [...wanted].flatMap((name) => ["--workspace", name]);
  const packed = npm(["pack", "--json", "--pack-destination", to, ...workspaces], root);
  const answer = JSON.parse(packed);
  return Object.values(answer).map(({ filename }) => join(to, filename));
};

const freePort = async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
};

const isUp = async (url) => {
  for (let tries = 0; tries < 200; tries++) {
    const response = await fetch(url).catch(() => undefined);
    if (response) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("the app does not start");
};

/** Runs the page's commands against the app; throws at the first that prints something else. */
const follow = async ({ file, folder }) => {
  const port = await freePort();
  const url = `http://localhost:${port}`;
  const app = spawn(process.execPath, [file], {
    cwd: folder,
    env: { ...process.env, PORT: `${port}` },
    stdio: ["ignore", "inherit", "inherit"],
  });
  // From the beginning: for an app that has ended before, waiting later would never end.
  const hasEnded = once(app, "exit");
  try {
    await isUp(url);
    for (const { command, output } of commands) {
      const line = command.replaceAll(address, url);
      const printed = execFileSync("bash", ["-c", line], { cwd: folder, encoding: "utf8" });
      if (printed.trimEnd() === output) continue;
      throw new Error(`${file}: ${command}\nprints\n${printed}instead of\n${output}`);
    }
  } finally {
    app.kill();
    await hasEnded;
  }
};

const walk = async () => {
  const place = mkdtempSync(join(tmpdir(), "lanai-walk-through-"));
  try {
    const first = join(place, "first");
    mkdirSync(first);
    const names = installed(false);
    const tarballs = pack(names, place);
    npm(["init", "--yes"], first);
    const others = names.filter((name) => !name.startsWith("@lanai/"));
    npm(["install", "--no-audit", "--no-fund", ...others, ...tarballs], first);
    npm(["install", "--no-audit", "--no-fund", "--save-dev", ...installed(true)], first);
    for (const form of forms) {
      const folder = join(place, form.file);
      cpSync(first, folder, { recursive: true, verbatimSymlinks: true });
      npm(["pkg", "set", `type=${form.type}`], folder);
      writeFileSync(join(folder, form.file), form.code);
      if (form.file.endsWith(".ts")) {
        const options = ["--noEmit", "--strict", "--skipLibCheck", "false"];
        const module = ["--module", "nodenext", "--target", "es2023", "--types", "node"];
        execFileSync("npx", ["tsc", ...options, ...module, form.file], {
          cwd: folder,
          stdio: "inherit",
        });
      }
      await follow({ ...form, folder });
      console.log(`${form.file}: ${commands.length} commands print what the page says`);
    }
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
};

walk().catch((error) => {
  console.error(error.message ?? error);
  process.exitCode = 1;
});
