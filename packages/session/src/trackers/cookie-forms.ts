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
 * Returns the forms, except ours, in which a cookie of the same name may stand beside ours: a
 * browser distinguishes cookies by name, domain, path and partition (RFC 6265bis, 5.7), and sends
 * them all.
 */
export function formsOf(host: string, ours: Attributes): Attributes[] {
  const domains = [ours.domain, undefined, ...parentsOf(host)];
  const paths = [ours.path, "/"];
  const forms = new Map<string, Attributes>();
  for (const partitioned of ours.secure
    ? [ours.partitioned ?? false, !ours.partitioned]
    : [false]) {
    for (const domain of domains) {
      for (const path of paths) {
        const { domain: _, partitioned: __, ...others } = ours;
        forms.set(JSON.stringify([domain, path, partitioned]), {
          ...others,
          path,
          ...(domain !== undefined && { domain }),
          ...(partitioned && { partitioned }),
        });
      }
    }
  }
  forms.delete(JSON.stringify([ours.domain, ours.path, ours.partitioned ?? false]));
  return [...forms.values()].slice(0, MAX_FORMS);
}

/** The host and its parent domains of two labels or more. An address has none. */
function parentsOf(host: string): string[] {
  if (!HOST.test(host) || isIP(host) !== 0) return [];
  const labels = host.toLowerCase().split(".");
  return labels.slice(0, -1).map((_, at) => labels.slice(at).join("."));
}
