export interface Cores {
  readonly server: string;
  readonly redis: string;
  readonly load: readonly string[];
}
export declare const cpusIn: (list: string) => number[];
export declare const allowedCpus: () => number[];
export declare const planCores: (cpus: readonly number[]) => Cores;
