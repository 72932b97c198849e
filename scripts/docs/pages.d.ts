export interface Page {
  readonly from?: string;
  readonly to: string;
  readonly title: string;
}
export const PACKAGES: readonly string[];
export const SECTIONS: readonly { readonly title: string; readonly pages: readonly Page[] }[];
export const COPIED: readonly (Page & { readonly from: string })[];
