export interface PublicMember {
  readonly name: string;
  readonly signature: string;
  readonly doc: string;
}
export interface PublicName extends PublicMember {
  readonly members: readonly PublicMember[];
}
export interface Reference {
  readonly name: string;
  readonly description: string;
  readonly context: readonly PublicMember[];
  readonly entries: readonly { readonly entry: string; readonly names: readonly PublicName[] }[];
}
export function referenceOf(name: string): Reference;
