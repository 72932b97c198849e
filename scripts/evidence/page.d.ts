export interface Topic {
  readonly name: string;
  readonly title: string;
  readonly command: string;
}
export interface Result {
  readonly about: string;
  readonly text: string;
  readonly charts: readonly string[];
}
export declare const TOPICS: readonly Topic[];
export declare const page: (results: Readonly<Record<string, Result>>) => string;
