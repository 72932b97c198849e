import { mkdtemp, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type * as clients from "@lanai/clients";
import type * as flashes from "@lanai/flash";
import type { PubSub } from "@lanai/pubsub";
import type * as session from "@lanai/session";
import type * as compat from "@lanai/session-compat";
import type * as jwt from "@lanai/session-jwt";
import type * as sqlite from "@lanai/session-sqlite";
import type * as sse from "@lanai/sse";
import type * as websocket from "@lanai/websocket";
import Koa from "koa";
import { WebSocket } from "ws";

/** The packages by which the formats are written: today's, or those of an older commit. */
export interface Packages {
  readonly session: Pick<typeof session, "createSessions" | "cookieTracker" | "headerTracker">;
  readonly flash: Pick<typeof flashes, "flashOf">;
  readonly jwt: Pick<typeof jwt, "jwtTracker" | "jwtStore" | "bearerTracker">;
  readonly sqlite: Pick<typeof sqlite, "sqliteStore">;
  readonly compat: Pick<typeof compat, "fromExpressStore" | "fromKoaStore">;
  readonly clients: Pick<typeof clients, "createClients">;
  readonly sse: Pick<typeof sse, "sse">;
  readonly websocket: Pick<typeof websocket, "attachUpgrade">;
}

/** What was stored and sent. */
export interface Written {
  /** The statements that make the SQLite file again. */
  readonly sqlite: readonly string[];
  /** What a store of express-session was given, by key. */
  readonly compat: Readonly<Record<string, unknown>>;
  /** What a store of koa-session was given, by key. */
  readonly koa: Readonly<Record<string, unknown>>;
  /** Request headers by which a client presents its session. */
  readonly headers: Readonly<Record<Way, Headers>>;
  /** Client cookies, and the public ids that they had. */
  readonly clients: Readonly<Record<"signed" | "plain", { cookie: string; id: string }>>;
  /** What a process has published for the others. */
  readonly notes: readonly Note[];
  /** What was sent to the tabs of a browser: a notice, and that they are ended. */
  readonly live: Live;
}

interface Live {
  readonly frames: readonly string[];
  readonly close: { readonly code: number; readonly reason: string };
  readonly stream: string;
}

type Way =
  | "signedCookie"
  | "plainCookie"
  | "header"
  | "compat"
  | "koa"
  | "jwtPointer"
  | "jwtBearer"
  | "jwtCookie"
  | "jwtStore";

export interface Note {
  readonly subject: string;
  readonly text: string;
}

type Headers = Readonly<Record<string, string>>;

/** When it was written, by the stores' clocks. */
export const WRITTEN_AT: number = Date.UTC(2026, 10, 21, 12);
export const SECRET = "a secret of the fixtures, which has thirty-two bytes";
export const ISSUER = "https://app.example";

/** One value of each kind that a session holds. */
export const VALUES: Readonly<Record<string, unknown>> = {
  text: "Grüße, 💬",
  number: -1.5,
  nested: { list: [1, null, { "~date": "no date" }], empty: {} },
  date: new Date(0),
  bytes: new Uint8Array([0, 1, 255]),
  bigint: 10n ** 30n,
  map: new Map<string, unknown>([["a", new Set([1, 2])]]),
  __proto__x: true,
};

/** The session of the fixtures, of which each store and tracker has one. */
export async function begin(
  { createSessions }: Pick<Packages["session"], "createSessions">,
  options: session.SessionsOptions,
) {
  const sessions = createSessions({ idleTimeout: 3_600_000, ...options });
  const { headers, session: its } = await sessions.create({ userId: "ada", values: VALUES });
  return { its, headers };
}

export async function write(packages: Packages): Promise<Written> {
  const { session, flash, jwt, sqlite, compat } = packages;
  const folder = await mkdtemp(join(tmpdir(), "lanai-"));
  const file = join(folder, "sessions.db");
  const clock = () => WRITTEN_AT;
  const store = sqlite.sqliteStore(file, { clock });
  try {
    const headersOf = async (options: session.SessionsOptions) =>
      (await begin(session, options)).headers;
    const tracker = session.cookieTracker({ keys: [SECRET] });
    const { its, headers: signedCookie } = await begin(session, { store, tracker });
    flash.flashOf(its).success("Saved", { undo: "/notes/7" });
    its.addOwner("team:blue");
    await its.commit();
    const terms = { secret: SECRET, issuer: ISSUER, clock };
    const byJwt = (carrier?: session.Tracker) =>
      headersOf({ store, tracker: jwt.jwtTracker({ ...terms, ...(carrier && { carrier }) }) });
    const express = expressStore();
    const koa = koaStore();
    const headers = {
      signedCookie,
      plainCookie: await headersOf({ store }),
      header: await headersOf({ store, tracker: session.headerTracker() }),
      compat: await headersOf({ store: compat.fromExpressStore(express, { clock }) }),
      koa: await headersOf({ store: compat.fromKoaStore(koa, { clock }) }),
      jwtPointer: await byJwt(),
      jwtBearer: await byJwt(jwt.bearerTracker()),
      jwtCookie: await byJwt(session.cookieTracker()),
      jwtStore: await headersOf({ store: jwt.jwtStore({ ...terms, expiresIn: 3_600_000 }) }),
    };
    store.close?.();
    return {
      ...{ sqlite: dump(file), compat: express.entries, koa: koa.entries, headers },
      ...(await writeClients(packages)),
      live: await writeLive(packages),
    };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** A store of express-session, whose entries are what it would have written as JSON. */
export function expressStore(entries: Record<string, unknown> = {}) {
  return {
    entries,
    get(key: string, done: (error: unknown, entry?: unknown) => void) {
      done(null, structuredClone(entries[key]));
    },
    set(key: string, entry: object, done: (error?: unknown) => void) {
      entries[key] = JSON.parse(JSON.stringify(entry));
      done();
    },
    destroy(key: string, done: (error?: unknown) => void) {
      delete entries[key];
      done();
    },
  };
}

/** A store of koa-session, whose entries are what it would have written as JSON. */
export function koaStore(entries: Record<string, unknown> = {}) {
  return {
    entries,
    get: (key: string) => structuredClone(entries[key]),
    set(key: string, entry: object) {
      entries[key] = JSON.parse(JSON.stringify(entry));
    },
    destroy(key: string) {
      delete entries[key];
    },
  };
}

/** A bus that has no other process; it remembers what was published. */
export function recordingBus() {
  const notes: Note[] = [];
  const handlers = new Map<string, (message: { subject: string; data: string }) => void>();
  const bus = {
    async publish(subject: string, text: string) {
      notes.push({ subject, text });
    },
    async subscribe(
      subject: string,
      handler: (message: { subject: string; data: string }) => void,
    ) {
      handlers.set(subject, handler);
      return { unsubscribe: async () => {}, closed: new Promise<void>(() => {}) };
    },
    close: async () => {},
  };
  return { bus: bus as unknown as PubSub, notes, handlers };
}

async function writeClients({
  session: { createSessions },
  clients: { createClients },
}: Packages): Promise<Pick<Written, "clients" | "notes">> {
  const sessions = createSessions();
  const { bus, notes } = recordingBus();
  const known = async (options: Partial<clients.ClientsOptions>) => {
    const its = createClients({ sessions, pubsub: bus, ...options });
    const app = new Koa();
    app.use(sessions.middleware());
    app.use(its.middleware());
    app.use((ctx) => {
      ctx.body = ctx.client?.id;
    });
    const server = app.listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as AddressInfo;
    const response = await fetch(`http://127.0.0.1:${port}`);
    const [line = ""] = response.headers.getSetCookie();
    const id = await response.text();
    server.close();
    server.closeAllConnections();
    return { its, cookie: line.split(";", 1)[0] ?? "", id };
  };
  const { its, ...plain } = await known({});
  const { its: other, ...signed } = await known({ keys: [SECRET] });
  await its.send({ user: "ada" }, "notice", { text: VALUES.text });
  await its.terminate({ client: plain.id });
  await Promise.all([its.close(), other.close()]);
  return { clients: { plain, signed }, notes };
}

/** Sends to a WebSocket and an event stream of one browser, and ends both. */
async function writeLive({
  session: { createSessions },
  clients: { createClients },
  sse: { sse },
  websocket: { attachUpgrade },
}: Packages): Promise<Live> {
  const sessions = createSessions();
  const its = createClients({ sessions });
  const app = new Koa();
  app.use(sessions.middleware());
  app.use(its.middleware());
  app.use(sse({ heartbeat: Infinity }));
  let attached = 0;
  const both = Promise.withResolvers<void>();
  app.use(async (ctx) => {
    ctx.body = ctx.client?.id;
    if (ctx.path !== "/live") return;
    await its.attach(ctx, { anonymous: true });
    attached += 1;
    if (attached === 2) both.resolve();
  });
  const server = app.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  attachUpgrade(server, app);
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const first = await fetch(`http://${address}`);
  const cookie = first.headers.getSetCookie()[0]?.split(";", 1)[0] ?? "";
  const client = await first.text();

  const frames: string[] = [];
  const socket = new WebSocket(`ws://${address}/live`, { headers: { cookie } });
  socket.on("message", (data) => frames.push(String(data)));
  const closed = new Promise<Live["close"]>((resolve) => {
    socket.once("close", (code, reason) => resolve({ code, reason: String(reason) }));
  });
  const accept = "text/event-stream";
  const stream = await fetch(`http://${address}/live`, { headers: { cookie, accept } });
  const text = stream.text();
  await both.promise;
  await its.send({ client }, "notice", { text: VALUES.text });
  await its.terminate({ client });
  const live = { frames, close: await closed, stream: await text };
  await its.close();
  server.close();
  server.closeAllConnections();
  return live;
}

function dump(file: string): string[] {
  const database = new DatabaseSync(file);
  const version = database.prepare("PRAGMA user_version").get() as { user_version: number };
  const made = database
    .prepare("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid")
    .all() as { type: string; name: string; sql: string }[];
  const rows = made
    .filter(({ type, name }) => type === "table" && !name.startsWith("sqlite_"))
    .flatMap(({ name }) => {
      // Without columns that are computed.
      const columns = database
        .prepare(`PRAGMA table_info("${name}")`)
        .all()
        .map((column) => `"${column.name}"`)
        .join(", ");
      return database
        .prepare(`SELECT ${columns} FROM "${name}"`)
        .all()
        .map((row) => {
          const values = Object.values(row).map(literal).join(", ");
          return `INSERT INTO "${name}" (${columns}) VALUES (${values})`;
        });
    });
  database.close();
  // Triggers come last: they would fill the tables once more.
  const tables = made.filter(({ type }) => type !== "trigger").map(({ sql }) => sql);
  const triggers = made.filter(({ type }) => type === "trigger").map(({ sql }) => sql);
  return [...tables, ...rows, ...triggers, `PRAGMA user_version = ${version.user_version}`];
}

function literal(value: unknown): string {
  if (value instanceof Uint8Array) return `x'${Buffer.from(value).toString("hex")}'`;
  return typeof value === "string" ? `'${value.replaceAll("'", "''")}'` : String(value);
}
