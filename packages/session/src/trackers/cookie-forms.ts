import { isIP } from "node:net";
import { stringifySetCookie } from "cookie";
import { HOST } from "./cookie-options.ts";

/** The greatest number of other forms of the cookie that one response expires. */
const MAX_FORMS = 7;

/** The attributes of a cookie. */
export interface Attributes {
  readonly path: string;
  readonly sameSite: "lax" | "strict" | "none";
  readonly httpOnly: boolean;
  readonly secure: boolean;
  readonly domain?: string;
  readonly priority?: "low" | "medium" | "high";
  readonly partitioned?: boolean;
}

/** A line that removes the cookie of this name with these attributes. */
export const expiryLine = (name: string, attributes: Attributes): string =>
  stringifySetCookie({ name, value: "", ...attributes, maxAge: 0, expires: new Date(0) });

/**
 * Returns the forms, except ours, in which a cookie of the same name may stand beside ours, the likeliest
 * first: a browser distinguishes cookies by name, domain, path and partition (RFC 6265bis, 5.7), and
 * sends them all. With the prefix `__Host-` it refuses a `Domain`, and any path but `/`.
 */
export function formsOf(name: string, host: string, ours: Attributes): Attributes[] {
  const isOfHost = name.startsWith("__Host-");
  const domains = isOfHost ? [undefined] : [ours.domain, undefined, ...domainsOf(host)];
  const partitions = ours.secure ? [ours.partitioned ?? false, !ours.partitioned] : [false];
  const forms = new Map<string, Attributes>();
  for (const domain of domains) {
    for (const path of [ours.path, "/"]) {
      for (const partitioned of partitions) {
        const { domain: _, partitioned: __, ...others } = ours;
        forms.set(keyOf(domain, path, partitioned), {
          ...others,
          path,
          ...(domain !== undefined && { domain }),
          ...(partitioned && { partitioned }),
        });
      }
    }
  }
  forms.delete(keyOf(ours.domain, ours.path, ours.partitioned ?? false));
  return [...forms.values()].slice(0, MAX_FORMS);
}

const keyOf = (domain: string | undefined, path: string, partitioned: boolean): string =>
  JSON.stringify([domain?.toLowerCase(), path, partitioned]);

/**
 * The domains for which a host may set cookies: its parents of two labels or more, the nearest first,
 * and the host itself. An address has none.
 */
function domainsOf(host: string): string[] {
  if (!HOST.test(host) || isIP(host) !== 0) return [];
  const labels = host.toLowerCase().split(".");
  const [itself, ...parents] = labels.slice(0, -1).map((_, at) => labels.slice(at).join("."));
  return itself === undefined ? [] : [...parents, itself];
}
