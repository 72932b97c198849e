import type { ImpersonateOptions, Impersonator } from "./request/acting-owner.ts";
import type { DestroyOptions } from "./request/clear-site-data.ts";
import type { SignInOptions } from "./request/sign-in-methods.ts";
import type { SessionRecord } from "./store.ts";

/** The request's part of a {@link Session}. Entries have their full names here. */
export interface SessionImplementation {
  readonly status: "unknown" | "anonymous" | "live" | "renewed" | "damaged" | "gone";
  readonly id: string | undefined;
  readonly publicId: string | undefined;
  readonly record: SessionRecord | undefined;
  readonly userId: string | undefined;
  readonly hasSignedIn: boolean;
  readonly owners: ReadonlySet<string>;
  /** @throws {SessionError} `ERR_SESSION_NOT_LOADED`, or `ERR_SESSION_DECODE` for a damaged record. */
  mustBeReadable(): void;
  load(): void | Promise<void>;
  reload(): Promise<void>;
  read(name: string): unknown;
  has(name: string): boolean;
  names(prefix: string): string[];
  write(name: string, value: unknown): void;
  remove(name: string): void;
  pop(names: readonly string[]): Promise<Map<string, unknown>>;
  update(name: string, change: (value: unknown) => unknown): Promise<unknown>;
  readonly authenticatedAt: number | undefined;
  readonly methods: readonly string[];
  login(userId: string, options?: SignInOptions): void;
  reauthenticate(options?: SignInOptions): void;
  readonly impersonator: Impersonator | undefined;
  impersonate(userId: string, options?: ImpersonateOptions): void;
  stopImpersonating(): Promise<boolean>;
  labelDevice(label: string): void;
  renewId(): void;
  persist(duration: number): void;
  addOwner(owner: string | ((publicId: string) => string)): void;
  whenTooLarge(giveWay: () => boolean): void;
  destroy(options?: DestroyOptions): Promise<void>;
  commit(): Promise<void>;
}
