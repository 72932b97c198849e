export interface Step {
  readonly step: string;
  readonly code: number;
}
export interface NamedReport {
  readonly step: string;
  readonly name: string;
  readonly report: unknown;
}
export declare const tally: (
  steps: readonly Step[],
  reports: readonly NamedReport[],
) => { readonly passed: number; readonly problems: readonly string[] };
