import { createCipheriv, createDecipheriv, createHmac, type KeyObject } from "node:crypto";
import { checkOptions, type Rules, required, value } from "@lanai/connection/options";
import { type IndexedStore, isIndexed } from "../indexed-store.ts";
import { type DestroyPageOptions, isPaged, type Page, type PageOptions } from "../paged-store.ts";
import { type SecretKey, secretKey } from "../secret-key.ts";
import type {
  Awaitable,
  Change,
  CommitResult,
  Key,
  Loaded,
  SessionRecord,
  Store,
} from "../store.ts";
import { holds } from "./changed.ts";

/** Options of `encrypted`. */
export interface EncryptedOptions {
  /**
   * Secrets of at least 32 bytes each. The first seals, all open: to rotate, give a new one to every
   * process at the end of the list, then put it in front. What the old one sealed is sealed anew when it
   * is written next, so remove the old one when the sessions of before have expired.
   */
  readonly keys: readonly SecretKey[];
}

/** The format, in front of every sealed text. */
const VERSION = "e1.";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Wraps a store, so that it holds the texts of all entries encrypted: AES-256-GCM by a key of each
 * session, with the session's `publicId` and the entry's name as associated data. A text that was
 * altered, or moved to another session or entry, doesn't open: reading it throws `ERR_SESSION_DECODE`,
 * while a sign-in and a sign-out still work.
 *
 * Readable remain owners, public ids, the names of entries, the lengths of their texts, times, and that
 * an entry has a text again which it had before in the same session. Whoever can write to the store can
 * still remove entries, put back older texts of the same entry, and copy or delete whole sessions.
 *
 * Compare-and-set goes on working, because one text is always sealed alike for one entry and key. If the
 * texts were sealed by an older key, the commit takes a second call of the store.
 *
 * @throws {TypeError | RangeError} for what is no store, and for keys that are missing or too short.
 */
export function encrypted(store: IndexedStore, options: EncryptedOptions): IndexedStore;
export function encrypted(store: Store, options: EncryptedOptions): Store;
export function encrypted(store: Store, options: EncryptedOptions): Store {
  if (typeof store?.commit !== "function") {
    throw new TypeError("encrypted: the first argument must be a store, which has commit()");
  }
  const secrets = secretsOf(options);

  const opened = (record: SessionRecord): SessionRecord => {
    const seals = sealsOf(secrets, record.publicId);
    return { ...record, values: mapTexts(record.values, (name, text) => open(seals, name, text)) };
  };

  const load = async (key: Key): Promise<Loaded> => {
    const loaded = await store.load(key);
    return loaded.status === "live" ? { ...loaded, record: opened(loaded.record) } : loaded;
  };

  /** A session manager says it with the change; others need not, as long as the key is current. */
  const publicIdOf = async (key: Key, change: Change): Promise<string> => {
    if (change.publicId !== undefined) return change.publicId;
    if (!change.set?.size && !change.expect?.size) return "";
    const loaded = await store.load(key);
    if (loaded.status === "live") return loaded.record.publicId;
    // Nobody's: a commit to a session that has ended is refused.
    if (loaded.status === "none") return "";
    throw new TypeError("encrypted: a change by the key of a renewed session needs its publicId");
  };

  /** Seals a change to a session, and sends it as often as its `expect` needs. */
  const commitBy = async <C extends Change>(
    send: (change: C) => Awaitable<CommitResult>,
    publicId: string,
    change: C,
  ): Promise<CommitResult> => {
    const seals = sealsOf(secrets, publicId);
    const [first] = seals;
    const set = change.set && mapTexts(change.set, first.seal);
    const { operation, expect } = change;
    let tries = 0;
    const attempt = (texts: ReadonlyMap<string, string | undefined> | undefined) => {
      tries += 1;
      return send({
        ...change,
        // Each attempt has its name, so that a repeat finds the one that was applied.
        operation: tries === 1 ? operation : `${operation}.${tries}`,
        ...(set && { set }),
        ...(texts && { expect: texts }),
      });
    };

    let result = await attempt(expect && sealExpected(expect, first));
    if (expect && seals.length > 1) {
      // By a renewed key the record can't be read: what an older key may have sealed is tried.
      for (const sealed of otherSealings(expect, seals)) {
        if (result.status !== "renewed") break;
        result = await attempt(sealed);
      }
      if (result.status === "conflict") {
        const { record } = result;
        // If they differ, this only finds out whether the second attempt was applied before.
        const isSame = holds(change, opened(record));
        result = await attempt(isSame ? asStored(expect, record) : sealExpected(expect, first));
      }
      // A repeat beside this one may have been applied by its first attempt, between two of these.
      if (tries > 1 && result.status !== "saved" && result.status !== "gone") {
        tries = 0;
        result = await attempt(sealExpected(expect, first));
      }
    }
    return result.status === "conflict" ? { ...result, record: opened(result.record) } : result;
  };

  const wrapped: Store = {
    load,
    async commit(key, change) {
      return commitBy((it) => store.commit(key, it), await publicIdOf(key, change), change);
    },
    async create(key, record) {
      const [first] = sealsOf(secrets, record.publicId);
      return store.create(key, { ...record, values: mapTexts(record.values, first.seal) });
    },
    destroy: (key, operation) => store.destroy(key, operation),
    ...(store.close && { close: () => store.close?.() }),
    ...(store.carriesData && { carriesData: store.carriesData }),
    ...(isPaged(store) && {
      count: (cursor?: string) => store.count(cursor),
      async page(options?: PageOptions): Promise<Page> {
        const page = await store.page(options);
        return { ...page, records: page.records.map(opened) };
      },
      destroyPage: (options: DestroyPageOptions) => store.destroyPage(options),
    }),
  };
  if (!isIndexed(store)) return wrapped;

  const indexed: IndexedStore = {
    ...wrapped,
    list: async (...args) => (await store.list(...args)).map(opened),
    commitByPublicId: (owner, publicId, change) =>
      commitBy((it) => store.commitByPublicId(owner, publicId, it), publicId, change),
    destroyByPublicId: (...args) => store.destroyByPublicId(...args),
    destroyAll: (...args) => store.destroyAll(...args),
    ...(store.limitsOwners && { limitsOwners: true }),
  };
  return indexed;
}

const mapTexts = (
  texts: ReadonlyMap<string, string>,
  map: (name: string, text: string) => string,
): Map<string, string> => new Map(Array.from(texts, ([name, text]) => [name, map(name, text)]));

const sealExpected = (
  expect: ReadonlyMap<string, string | undefined>,
  { seal }: Seal,
): Map<string, string | undefined> =>
  new Map(
    Array.from(expect, ([name, text]) => [name, text === undefined ? text : seal(name, text)]),
  );

/** The number of ways in which the expected texts may be sealed that are tried. */
const MAX_SEALINGS = 16;

/** The expected texts, each sealed by one of the keys, in every way but all by the first. */
function* otherSealings(
  expect: ReadonlyMap<string, string | undefined>,
  seals: readonly [Seal, ...Seal[]],
): Generator<Map<string, string | undefined>> {
  const texts = [...expect.values()].filter((text) => text !== undefined).length;
  const ways = Math.min(seals.length ** texts, MAX_SEALINGS);
  for (let way = 1; way < ways; way++) {
    let rest = way;
    const sealed = new Map<string, string | undefined>();
    for (const [name, text] of expect) {
      const { seal } = seals[rest % seals.length] ?? seals[0];
      sealed.set(name, text === undefined ? text : seal(name, text));
      if (text !== undefined) rest = Math.floor(rest / seals.length);
    }
    yield sealed;
  }
}

/** Returns the part of a record that the expected entries name. */
const asStored = (
  expect: ReadonlyMap<string, string | undefined>,
  { values }: SessionRecord,
): Map<string, string | undefined> =>
  new Map(Array.from(expect.keys(), (name) => [name, values.get(name)]));

const RULES: Rules<EncryptedOptions> = {
  keys: required(
    value(
      "an array of at least one secret of at least 32 bytes",
      (it) => Array.isArray(it) && it.length > 0,
    ),
  ),
};

function secretsOf(options: EncryptedOptions): readonly KeyObject[] {
  checkOptions("encrypted", options, RULES);
  return options.keys.map((secret, at) => secretKey(`encrypted: keys[${at}]`, secret, 32));
}

/** Seals and opens the texts of one session by one secret. */
interface Seal {
  seal(name: string, text: string): string;
  /** Returns `undefined` for what this didn't seal for the entry. */
  open(name: string, bytes: Buffer): string | undefined;
}

/** Returns the seal of each secret for one session. New texts are sealed by the first. */
const sealsOf = (secrets: readonly KeyObject[], publicId: string): readonly [Seal, ...Seal[]] =>
  secrets.map((secret) => sealOf(secret, publicId)) as [Seal, ...Seal[]];

/** A text that doesn't open becomes one that no session decodes, so that reading it says so. */
function open(seals: readonly Seal[], name: string, sealed: string): string {
  if (sealed.startsWith(VERSION)) {
    const bytes = Buffer.from(sealed.slice(VERSION.length), "base64url");
    if (bytes.length >= NONCE_BYTES + TAG_BYTES) {
      for (const seal of seals) {
        const text = seal.open(name, bytes);
        if (text !== undefined) return text;
      }
    }
  }
  return `!${sealed}`;
}

function sealOf(secret: KeyObject, publicId: string): Seal {
  const derive = (use: string) =>
    createHmac("sha256", secret)
      .update(JSON.stringify(["lanai", VERSION, use, publicId]))
      .digest();
  let key: Buffer | undefined;
  let nonceKey: Buffer | undefined;
  const associated = (name: string) => Buffer.from(JSON.stringify([VERSION, publicId, name]));

  return {
    seal(name, text) {
      key ??= derive("text");
      nonceKey ??= derive("nonce");
      // Of the text itself, as in RFC 8452: a nonce comes twice only with the same text.
      const nonce = createHmac("sha256", nonceKey)
        .update(JSON.stringify([name, text]))
        .digest()
        .subarray(0, NONCE_BYTES);
      const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(associated(name));
      const parts = [nonce, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()];
      return VERSION + Buffer.concat(parts).toString("base64url");
    },

    open(name, bytes) {
      key ??= derive("text");
      const nonce = bytes.subarray(0, NONCE_BYTES);
      const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES })
        .setAAD(associated(name))
        .setAuthTag(bytes.subarray(-TAG_BYTES));
      try {
        const text = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES));
        return Buffer.concat([text, decipher.final()]).toString("utf8");
      } catch {
        return undefined;
      }
    },
  };
}
