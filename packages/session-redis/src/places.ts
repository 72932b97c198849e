/** A place that a sign-in has reserved in the list of an owner. */
export interface Place {
  readonly owner: string;
  readonly member: string;
  readonly operation: string;
}

/** The sessions and the reserved places in the list of an owner, and the time by Redis's clock. */
export interface Places {
  readonly members: readonly string[];
  readonly places: readonly (Place & { readonly reservedAt: number })[];
  readonly now: number;
}

export const textOf = ({ member, operation }: Place): string => `!${member} ${operation}`;
export const isPlace = (text: string): boolean => text.startsWith("!");

/** Reads an owner's list, in which each text is followed by its score, and the time last. */
export function readPlaces(owner: string, reply: readonly string[]): Places {
  const members: string[] = [];
  const places: (Place & { readonly reservedAt: number })[] = [];
  for (let n = 0; n + 1 < reply.length; n += 2) {
    const text = reply[n] as string;
    if (!isPlace(text)) {
      members.push(text);
      continue;
    }
    const space = text.lastIndexOf(" ");
    places.push({
      owner,
      member: text.slice(1, space),
      operation: text.slice(space + 1),
      reservedAt: Number(reply[n + 1]),
    });
  }
  return { members, places, now: Number(reply.at(-1)) };
}
