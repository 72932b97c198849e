export interface Mutant {
  readonly file: string;
  readonly line: number;
  readonly kind: string;
  readonly start: number;
  readonly end: number;
  readonly text: string;
}
export declare const mutantsOf: (file: string, text: string) => Mutant[];
export declare const mutated: (text: string, mutant: Mutant) => string;
export declare const watched: (
  text: string,
  mutants: readonly (Mutant & { readonly n: number })[],
) => string;
