import { registerHooks } from "node:module";

/** A fault on purpose, as one replaced text of a source file. The simulation must find it. */
export interface Mutant {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** Replaces the text of one mutant while the program is loaded. */
export function plant({ name, file, from, to }: Mutant): void {
  let isPlanted = false;
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (!new URL(url).pathname.endsWith(`/${file}`)) return loaded;
      const source = String(loaded.source);
      if (source.split(from).length !== 2) throw new Error(`mutant "${name}": ${file} has changed`);
      isPlanted = true;
      return { ...loaded, source: source.replace(from, () => to) };
    },
  });
  process.once("exit", () => {
    if (!isPlanted) throw new Error(`mutant "${name}": ${file} was not loaded`);
  });
}
