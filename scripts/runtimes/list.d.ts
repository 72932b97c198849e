export interface Runtime {
  readonly name: string;
  readonly package: string;
  readonly command: readonly string[];
}
export declare const RUNTIMES: readonly Runtime[];
export declare const reportOf: (runtime: Runtime) => string;
