export interface Found {
  readonly about: string;
  readonly text: string;
  readonly isTooNoisy?: boolean;
  readonly charts?: Readonly<Record<string, { readonly light: string; readonly dark: string }>>;
}

export function record(topic: string, found: Found): void;
