import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { programPath } from "../servers.js";

const fileOf = (model) => join(import.meta.dirname, `${model}.pml`);
const flags = (defines) => Object.entries(defines).map(([name, value]) => `-D${name}=${value}`);

/**
 * Checks a model exhaustively: how many states it has, and the first error, if there is one. `defines`
 * are its own, mutants included.
 *
 * @throws Error if the search did not come to its end.
 */
export const check = (model, defines = {}) => {
  const folder = mkdtempSync(join(tmpdir(), "lanai-model-"));
  const options = { cwd: folder, encoding: "utf8", maxBuffer: 64e6 };
  try {
    execFileSync(programPath("spin"), [...flags(defines), "-a", fileOf(model)], options);
    // What is small is compiled for longer than it is searched.
    const optimize = defines.CLIENTS > 2 ? "-O2" : "-O0";
    const cc = [optimize, "-DSAFETY", "-DCOLLAPSE", "-w", "-o", "pan", "pan.c"];
    execFileSync(programPath("cc"), cc, options);
    const said = execFileSync(join(folder, "pan"), ["-m1000000", "-w24"], options);
    if (/max search depth too small|out of memory/.test(said)) throw new Error(said);
    const [, error] = /^pan:\d+: (.+?) \(at depth/m.exec(said) ?? [];
    return { states: Number(/^\s*([\d.e+]+) states, stored/m.exec(said)?.[1]), error };
  } finally {
    rmSync(folder, { recursive: true });
  }
};

/** The names of a model's mutants, from its text. */
export const mutantsOf = (text) => [
  ...new Set([...text.matchAll(/^#\w+ (MUTANT_\w+)$/gm)].map(([, name]) => name)),
];

/** What one random run of a model prints with `TRACE`, a line for each command. */
export const trace = (model, seed, defines = {}) =>
  execFileSync(
    programPath("spin"),
    [...flags({ ...defines, TRACE: 1 }), `-n${seed}`, "-B", "-T", fileOf(model)],
    { encoding: "utf8", cwd: tmpdir() },
  )
    .split("\n")
    .filter((line) => line.trim().startsWith("CALL "))
    .map((line) => line.trim().split(" ").slice(1));
