export declare const progress: (
  total: number,
  output?: { readonly isTTY?: boolean; write(text: string): unknown },
) => (what: string) => void;
