export interface Graded {
  readonly grade: string;
  readonly detail?: string;
}
/** Wraps a store so that its calls are counted. */
export type Watch = <Store extends object>(store: Store) => Store;
export type SetUp = (options: { readonly watch: Watch }) => unknown;
export declare const grade: (setUp: SetUp) => Promise<Readonly<Record<string, Graded>>>;
