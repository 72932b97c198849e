/** Accepts the values of one option. Made by the functions of this module, or by hand. */
export interface Rule {
  /** Completes "must be …". */
  readonly accepted: string;
  /** Whether the value has the right kind; otherwise it is refused with a TypeError. */
  readonly kind: (value: unknown) => boolean;
  /** Whether a value of the right kind is in range; otherwise it is refused with a RangeError. */
  readonly fits?: (value: never) => boolean;
  /** Whether a refusal may show a string. Default: false, since a string may be a secret. */
  readonly shows?: boolean;
  /** Whether `undefined` is refused. Default: false. */
  readonly isRequired?: boolean;
  /** The rules of an option that has options of its own. */
  readonly nested?: Readonly<Record<string, Rule>>;
}

/** A rule for every option, complete by its type. */
export type Rules<Options> = { readonly [Name in keyof Options]-?: Rule };

/** The longest delay of Node's timers, in milliseconds: 2^31 - 1, about 24.8 days. */
export const MAX_TIMER: number = 2 ** 31 - 1;

/** A token of RFC 9110, 5.6.2, such as the name of a header or a cookie. */
export const TOKEN: RegExp = /^[\w!#$%&'*+.^`|~-]+$/;

/**
 * Checks the options of `owner`, the function that its user called.
 *
 * @param hints - What to write instead of an option that doesn't exist, by its name.
 * @throws TypeError for options that are no object, an option that doesn't exist or a value of the
 * wrong kind, RangeError for a number out of range. The message names the option, what came and what
 * is accepted.
 */
export function checkOptions<Options extends object>(
  owner: string,
  options: Options,
  rules: Rules<Options>,
  hints: Readonly<Record<string, string>> = {},
): void {
  checkObject(owner, "the options", options);
  checkAll(owner, "", options, rules as Readonly<Record<string, Rule>>, hints);
}

/**
 * Checks one value, such as an argument that is no option.
 *
 * @throws TypeError or RangeError as {@link checkOptions} does.
 */
export function checkValue(owner: string, name: string, value: unknown, rule: Rule): void {
  if (value === undefined && !rule.isRequired) return;
  if (rule.nested) {
    checkObject(owner, name, value);
    checkAll(owner, `${name}.`, value, rule.nested, {});
  } else if (!rule.kind(value)) {
    throw new TypeError(refusal(owner, name, value, rule));
  } else if (rule.fits?.(value as never) === false) {
    throw new RangeError(refusal(owner, name, value, rule));
  }
}

/**
 * Returns what a value is and never shows it: `typeof`, `null`, `array` or `an empty string`.
 */
export function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (value === "") return "an empty string";
  return Array.isArray(value) ? "array" : typeof value;
}

function checkAll(
  owner: string,
  prefix: string,
  options: object,
  rules: Readonly<Record<string, Rule>>,
  hints: Readonly<Record<string, string>>,
): void {
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(rules, name)) continue;
    const all = Object.keys(rules).map((known) => prefix + known);
    const hint = Object.hasOwn(hints, name) ? hints[name] : `its options are ${all.join(", ")}`;
    throw new TypeError(`${owner}: there is no option "${prefix}${name}": ${hint}`);
  }
  for (const [name, rule] of Object.entries(rules)) {
    checkValue(owner, prefix + name, (options as Record<string, unknown>)[name], rule);
  }
}

function checkObject(owner: string, name: string, value: unknown): asserts value is object {
  if (kindOf(value) === "object") return;
  throw new TypeError(`${owner}: ${name} must be an object, got ${kindOf(value)}`);
}

/** The longest string that a refusal shows, in UTF-16 code units. */
const SHOWN = 64;

function refusal(owner: string, name: string, value: unknown, rule: Rule): string {
  const isPlain = isString(value) ? value.length <= SHOWN : Object(value) !== value;
  const isNumeric = typeof value === "number" && rule.kind(value);
  const isShown = isNumeric || (rule.shows && isPlain);
  const got = isShown ? literal(value) : kindOf(value);
  return `${owner}: ${name} must be ${rule.accepted}, got ${got}`;
}

const isNumber = (value: unknown): boolean => typeof value === "number";
const isString = (value: unknown): value is string => typeof value === "string";

const range = (least: number, most: number): string =>
  most === Infinity ? `from ${least}` : `from ${least} to ${most}`;

/** A whole number from `least` to `most`, of a `unit` such as `bytes`. */
export function integer(least: number, most: number = Number.MAX_SAFE_INTEGER, unit = ""): Rule {
  const shown = most === Number.MAX_SAFE_INTEGER ? Infinity : most;
  return {
    accepted: `an integer ${unit && `of ${unit} `}${range(least, shown)}`,
    kind: isNumber,
    fits: (value: number) => Number.isInteger(value) && value >= least && value <= most,
  };
}

/** A number of milliseconds from `least` to `most`, which may have a fraction. Default of `most`: {@link MAX_TIMER}. */
export function duration(least: number, most: number = MAX_TIMER): Rule {
  return {
    accepted: `a number of milliseconds ${range(least, most)}`,
    kind: isNumber,
    fits: (value: number) => value >= least && value <= most,
  };
}

/** Accepts what `rule` does, or one of `values` besides: `or(duration(1), Infinity)`. */
export function or(rule: Rule, ...values: readonly unknown[]): Rule {
  const { fits } = rule;
  return {
    ...rule,
    accepted: `${rule.accepted} or ${alternatives(values)}`,
    kind: (value) => values.includes(value) || rule.kind(value),
    fits: (value: never) => values.includes(value) || fits?.(value) !== false,
  };
}

/** Refuses `undefined` too. */
export function required(rule: Rule): Rule {
  return { ...rule, isRequired: true };
}

/** A value that `is` accepts. A refusal names only its kind: it may be a secret, or hold one. */
export function value(accepted: string, is: (value: unknown) => boolean): Rule {
  return { accepted, kind: is };
}

/** A string that `matches`, shown in a refusal if it is short: not for secrets. Default: any. */
export function text(
  accepted = "a string",
  matches: RegExp | ((value: string) => boolean) = () => true,
): Rule {
  const is = typeof matches === "function" ? matches : (it: string) => matches.test(it);
  return { accepted, kind: (it) => isString(it) && is(it), shows: true };
}

/** One of some constants. */
export function oneOf(...values: readonly (string | number | boolean)[]): Rule {
  return {
    accepted: alternatives(values),
    kind: (it) => values.some((one) => one === it),
    shows: true,
  };
}

/** An object with the options that the rules name. A refusal names them `queue.limit`. */
export function nested<Options>(rules: Rules<Options>): Rule {
  return { accepted: "an object", kind: () => true, nested: rules as Record<string, Rule> };
}

/** An object with methods of these names. */
export function withMethods(accepted: string, ...names: readonly string[]): Rule {
  return value(accepted, (it) => {
    const methods = (it ?? {}) as Record<string, unknown>;
    return names.every((name) => typeof methods[name] === "function");
  });
}

/** Accepts a function. */
export const func: Rule = value("a function", (it) => typeof it === "function");
/** Accepts a boolean. */
export const flag: Rule = value("a boolean", (it) => typeof it === "boolean");
/** For what the caller checks by itself. */
export const anything: Rule = value("anything", () => true);
/** The name of a property of Koa's context. */
export const property: Rule = text('a name such as "session"', /^[A-Za-z_$][\w$]*$/);
/** The name of a header or a cookie: {@link TOKEN}. */
export const token: Rule = text("a token of RFC 9110 (letters, digits, !#$%&'*+-.^_`|~)", TOKEN);

/** `a`, `a or b`, `a, b or c`. */
function alternatives(values: readonly unknown[]): string {
  return values
    .map(literal)
    .join(", ")
    .replace(/, ([^,]*)$/, " or $1");
}

function literal(it: unknown): string {
  return isString(it) ? JSON.stringify(it) : String(it);
}
