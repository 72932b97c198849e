import { checkOptions, type Rule, type Rules, value } from "@lanai/connection/options";

/** The way in which someone has proved who they are. */
export interface SignInOptions {
  /**
   * The methods that were used, such as `["pwd", "otp"]` (RFC 8176 registers names): up to 16 different
   * names of 1 to 64 letters, digits, dots, dashes and underscores. Default: none.
   */
  readonly methods?: readonly string[];
}

/** The conditions that a sign-in must meet. */
export interface Demand {
  /**
   * The greatest age of the last sign-in or re-authentication, in milliseconds by the store's
   * clock: a finite number from 1,000. Default: no limit.
   */
  readonly within?: number;
  /** Methods that the last sign-in or re-authentication must all have used. Default: none. */
  readonly methods?: readonly string[];
}

/** The entry with the methods of the last sign-in or re-authentication. */
export const METHODS = "s:methods";

const NONE: readonly string[] = Object.freeze([]);

/** Accepts the list that {@link SignInOptions} describes. */
export const METHODS_RULE: Rule = value(
  'up to 16 different names of 1 to 64 letters, digits, ".", "-" and "_"',
  (methods) =>
    Array.isArray(methods) &&
    methods.length <= 16 &&
    new Set(methods).size === methods.length &&
    methods.every((it) => typeof it === "string" && /^[\w.-]{1,64}$/.test(it)),
);

const RULES: Rules<SignInOptions> = { methods: METHODS_RULE };

/** Returns the methods of a sign-in's options. @throws TypeError for methods that can't be. */
export function methodsOf(call: string, options: SignInOptions): readonly string[] {
  checkOptions(call, options, RULES);
  return [...(options.methods ?? NONE)];
}

/** Returns the methods in a stored value. */
export function storedMethods(value: unknown): readonly string[] {
  if (!Array.isArray(value)) return NONE;
  return Object.freeze(value.filter((it) => typeof it === "string"));
}
