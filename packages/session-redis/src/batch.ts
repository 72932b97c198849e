import { setImmediate as endOfTurn } from "node:timers/promises";

interface Gathering<Answer> {
  readonly names: string[];
  readonly answers: Promise<readonly Answer[]>;
}

/** Gathers what is asked for in one turn of the event loop, and asks for it in one go. */
export class Batch<Answer> {
  readonly #limit: number;
  readonly #load: (names: readonly string[]) => Promise<readonly Answer[]>;
  #gathering: Gathering<Answer> | undefined;

  constructor(limit: number, load: (names: readonly string[]) => Promise<readonly Answer[]>) {
    this.#limit = limit;
    this.#load = load;
  }

  async get(name: string): Promise<Answer> {
    this.#gathering ??= this.#begin();
    const { names, answers } = this.#gathering;
    const n = names.push(name) - 1;
    if (names.length === this.#limit) this.#gathering = undefined;
    return (await answers)[n] as Answer;
  }

  #begin(): Gathering<Answer> {
    const names: string[] = [];
    const answers = endOfTurn().then(() => {
      if (this.#gathering?.names === names) this.#gathering = undefined;
      return this.#load(names);
    });
    return { names, answers };
  }
}
