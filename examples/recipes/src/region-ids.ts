import { type IdGenerator, randomIds } from "@lanai/session";

/** Ids whose first two characters name a region, which a renewal keeps: a proxy can route by them. */
export function regionIds(region: string): IdGenerator {
  const random = randomIds();
  return {
    generate: async () => region + (await random.generate()),
    isValid: (id) => id.startsWith(region) && random.isValid(id.slice(region.length)),
  };
}
