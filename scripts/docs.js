// Builds the site in site/dist: `npm run docs`. With `-- --serve` it is then served on this machine.
// Its generator is installed in site/ the first time, apart from the workspace.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { copiedPages } from "./docs/copied.js";
import { llmsFullText, llmsText } from "./docs/llms.js";
import { PACKAGES, SECTIONS } from "./docs/pages.js";
import { questionsPage } from "./docs/questions.js";
import { referenceOf } from "./docs/reference.js";
import { referencePage } from "./docs/reference-page.js";
import { root } from "./node.js";

const site = join(root, "site");
const pages = join(site, "pages");

const run = (command, args, cwd = site) => {
  const { status, error } = spawnSync(command, args, { cwd, stdio: "inherit" });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed with ${status}`);
};

const write = (path, text) => {
  mkdirSync(dirname(join(pages, path)), { recursive: true });
  writeFileSync(join(pages, path), text);
};

const writePages = () => {
  rmSync(pages, { recursive: true, force: true });
  const { pages: copied, pictures } = copiedPages();
  const texts = new Map(copied.map(({ to, text }) => [to, text]));
  for (const name of PACKAGES) texts.set(`api/${name}.md`, referencePage(referenceOf(name)));
  texts.set("questions.md", questionsPage());
  for (const [to, text] of texts) write(to, text);
  const textOf = (to) => texts.get(to);
  write("public/llms.txt", llmsText(SECTIONS, textOf));
  write("public/llms-full.txt", llmsFullText(SECTIONS, textOf));
  for (const path of pictures) cpSync(join(root, path), join(pages, path));
};

const vitepress = (...args) =>
  run(process.execPath, [join(site, "node_modules/vitepress/bin/vitepress.js"), ...args]);

if (!existsSync(join(site, "node_modules/vitepress")))
  run("npm", ["ci", "--no-audit", "--no-fund"]);
writePages();
vitepress("build");
if (process.argv.includes("--serve")) vitepress("preview");
