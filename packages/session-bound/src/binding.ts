import { randomBytes } from "node:crypto";
import {
  algorithmOf,
  type BoundAlgorithm,
  type DeviceKey,
  parseDeviceKey,
  thumbprintOf,
} from "./device-key.ts";

/** The package's namespace in a session. */
export const NAMESPACE = "bound";

/** Name of the entry, as a record holds it, that says whether a session is bound. */
export const BOUND_ENTRY: string = `${NAMESPACE}:device`;

/** Milliseconds for which a registration is open after its offer. */
export const OFFER_LIFETIME = 60_000;
const MAX_CHALLENGES = 8;

/** A registration that a response has offered. */
export interface Offer {
  readonly challenge: string;
  /** The end of the offer, in milliseconds since the epoch. */
  readonly until: number;
  /** Signs the bound cookies of this offer's device, if the app gave no keys. */
  readonly secret: string;
}

/** A registered key. It is changed by compare-and-set only, so that a challenge counts once. */
export interface Device {
  readonly key: DeviceKey;
  /** The instant of the registration, in milliseconds since the epoch. */
  readonly since: number;
  /** The challenge of the offer by which it was registered. */
  readonly via: string;
  /** The offer's secret. */
  readonly secret: string;
  /** The challenges that were sent for a refresh and are not used up, the newest one last. */
  readonly challenges: readonly string[];
}

/** The entries of the package's namespace in a session. */
export interface BoundEntries {
  offer: Offer;
  device: Device;
}

/** A session's device, read from its record. `unreadable` is never treated as "not bound". */
export type Bound =
  | { readonly status: "unbound" }
  | { readonly status: "bound"; readonly device: Device; readonly thumbprint: string }
  | { readonly status: "unreadable" };

/** A text of 256 random bits, for challenges and secrets. */
const random = (): string => randomBytes(32).toString("base64url");

const isText = (value: unknown): value is string =>
  typeof value === "string" && /^[\w-]{43}$/.test(value);
const isInstant = (value: unknown): value is number => Number.isSafeInteger(value);
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;

/** Reads the value of the entry `device`. */
export function readBound(value: unknown): Bound {
  if (value === undefined) return { status: "unbound" };
  const device = isObject(value) ? readDevice(value) : undefined;
  if (device === undefined) return { status: "unreadable" };
  return { status: "bound", device, thumbprint: thumbprintOf(device.key) };
}

function readDevice(value: Record<string, unknown>): Device | undefined {
  const { since, via, secret, challenges } = value;
  const key = parseDeviceKey(value.key);
  if (key === undefined || !isInstant(since) || !isText(via) || !isText(secret)) return undefined;
  if (!Array.isArray(challenges) || !challenges.every(isText)) return undefined;
  return { key, since, via, secret, challenges };
}

/** Reads the value of the entry `offer`. */
export function readOffer(value: unknown): Offer | undefined {
  if (!isObject(value)) return undefined;
  const { challenge, until, secret } = value;
  return isText(challenge) && isInstant(until) && isText(secret)
    ? { challenge, until, secret }
    : undefined;
}

export const newOffer = (now: number): Offer => ({
  challenge: random(),
  until: now + OFFER_LIFETIME,
  secret: random(),
});

/** The device that a registration makes of its offer. */
export const newDevice = (key: DeviceKey, { challenge, secret }: Offer, now: number): Device => ({
  ...{ key, since: now, via: challenge, secret, challenges: [random()] },
});

/** Returns the newest challenge of a device, which is the one to send. */
export const newestOf = (device: Device): string => device.challenges.at(-1) ?? "";

/** Returns the device with one more challenge; at the limit it is unchanged. */
export function challenged(device: Device): Device {
  const { challenges } = device;
  if (challenges.length >= MAX_CHALLENGES) return device;
  return { ...device, challenges: [...challenges, random()] };
}

/** Returns the device after a valid proof: without the proof's challenge, and with a new one. */
export function used(device: Device, challenge: string): Device | undefined {
  if (!device.challenges.includes(challenge)) return undefined;
  const left = device.challenges.filter((it) => it !== challenge);
  return challenged({ ...device, challenges: left });
}

/** The part of a bound session's device that a list may show. */
export interface BoundDevice {
  readonly algorithm: BoundAlgorithm;
  /** The thumbprint of the device's public key (RFC 7638). */
  readonly thumbprint: string;
  /** The instant of the registration. */
  readonly since: Date;
}

/**
 * Returns the device that a session is bound to, given the value of its entry {@link BOUND_ENTRY}, as
 * lists of sessions have it; `undefined` if the session isn't bound.
 */
export function boundDevice(entry: unknown): BoundDevice | undefined {
  const bound = readBound(entry);
  if (bound.status !== "bound") return undefined;
  const { device, thumbprint } = bound;
  return { algorithm: algorithmOf(device.key), thumbprint, since: new Date(device.since) };
}
