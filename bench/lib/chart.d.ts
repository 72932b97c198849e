export type Chart =
  | {
      readonly kind: "bars";
      readonly title: string;
      readonly rows: readonly { label: string; value: number; isOurs?: boolean }[];
      readonly format: (value: number) => string;
    }
  | {
      readonly kind: "lines";
      readonly title: string;
      readonly x: string;
      readonly y: string;
      readonly series: readonly { name: string; points: readonly (readonly [number, number])[] }[];
    };
export declare const draw: (chart: Chart) => { readonly light: string; readonly dark: string };
