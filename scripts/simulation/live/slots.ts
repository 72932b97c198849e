import { registerHooks } from "node:module";

/** Modules whose state is that of one process: the packages, and what makes an app of them. */
const OF_A_PROCESS =
  /\/packages\/[\w-]+\/src\/|\/simulation\/live\/(?:app|bus|line|wire|broker)\.ts$/;
const SLOT = /\?slot=\d+$/;

/** Lets `import("./app.ts?slot=1")` load modules of its own, as each process of the app has them. */
export function separateProcesses(): void {
  registerHooks({
    resolve(specifier, context, nextResolve) {
      const resolved = nextResolve(specifier, context);
      const [slot = ""] = SLOT.exec(context.parentURL ?? "") ?? [];
      const isOwn = slot !== "" && OF_A_PROCESS.test(resolved.url);
      return isOwn ? { ...resolved, url: resolved.url + slot } : resolved;
    },
  });
}

type Program = typeof import("./app.ts");

const programs: Promise<Program>[] = [];

/** Returns the program of the process with this number, with a state of its own. */
export function programOf(at: number): Promise<Program> {
  programs[at] ??= import(`./app.ts?slot=${at}`) as Promise<Program>;
  return programs[at] as Promise<Program>;
}
