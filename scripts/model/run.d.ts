export interface Checked {
  readonly states: number;
  readonly error?: string;
}
type Defines = Readonly<Record<string, number>>;
export declare const check: (model: string, defines?: Defines) => Checked;
export declare const mutantsOf: (text: string) => string[];
export declare const trace: (model: string, seed: number, defines?: Defines) => string[][];
