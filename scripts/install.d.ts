export declare const isInstalled: (
  root: string,
  platform?: { readonly os: string; readonly cpu: string; readonly libc: string },
) => boolean;
export declare const lockOf: (root: string) => string;
export declare const install: (
  root?: string,
  output?: { readonly isTTY?: boolean; write(text: string): unknown },
) => Promise<void>;
