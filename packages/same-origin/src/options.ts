import { anything, checkOptions, type Rules } from "@lanai/connection/options";
import { checkOrigins } from "@lanai/connection/origin";

/** Options of `sameOrigin`. */
export interface SameOriginOptions {
  /**
   * Other origins whose pages may send state-changing requests. An origin is scheme, host and port as
   * browsers serialise them (RFC 6454, 6.2), such as `https://www.example.com` or
   * `capacitor://localhost`, and is compared as text. At most 1,000. `null` is refused: each sandboxed
   * frame of any site has it. Default: none.
   */
  readonly origins?: readonly string[];
}

const RULES: Rules<SameOriginOptions> = { origins: anything };

export function validate(options: SameOriginOptions): void {
  checkOptions("sameOrigin", options, RULES, {
    origin: "write origins: [...]",
    methods: "each method but GET, HEAD, OPTIONS and TRACE is checked",
  });
  if (options.origins !== undefined) checkOrigins("sameOrigin", options.origins, false);
}
