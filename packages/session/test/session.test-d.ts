/** Compiled, not run: what TypeScript says of an app that uses sessions. */
import { Router, type RouterContext } from "@koa/router";
import {
  createSessions,
  type IdGenerator,
  type IndexedStore,
  memoryStore,
  requireSession,
  type Session,
  type SessionData,
  SessionError,
  type SessionErrorCode,
  type SessionMiddleware,
  type Sessions,
  type SessionsOptions,
  type Store,
  session,
  type Tracker,
} from "@lanai/session";
import type { Change, CommitResult, Loaded, NewRecord } from "@lanai/session/store";
import type { Admission, PresentedToken } from "@lanai/session/tracker";
import Koa, { type DefaultContext, type ExtendableContext } from "koa";

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** Fails to compile unless the value's type is exactly `Expected`. */
function typed<Expected>() {
  return <Actual>(
    _value: Actual,
    ..._proof: Equal<Actual, Expected> extends true ? [] : [never]
  ): void => {};
}

interface Cart {
  items: string[];
}

// ── ctx.session in an app ──

const app = new Koa();
app.use(session());
app.use(session({ store: memoryStore(), idleTimeout: 60_000 }));

app.use(async (ctx) => {
  typed<Session>()(ctx.session);

  typed<Cart | undefined>()(ctx.session.get("typedCart"));
  typed<"dark" | "light" | undefined>()(ctx.session.get("typedTheme"));
  typed<unknown>()(ctx.session.get("whatever"));
  typed<unknown>()(ctx.session.get(String(Math.random())));

  ctx.session.set("typedTheme", "dark").set("typedVisits", 1).set("whatever", { any: "thing" });
  // @ts-expect-error: a theme is dark or light.
  ctx.session.set("typedTheme", "blue");
  // @ts-expect-error: a cart has items.
  ctx.session.set("typedCart", {});
  // @ts-expect-error: a key is a string.
  ctx.session.set(1, 1);

  typed<number>()(
    await ctx.session.update("typedVisits", (visits) => {
      typed<number | undefined>()(visits);
      return (visits ?? 0) + 1;
    }),
  );
  typed<number>()(await ctx.session.update("typedVisits", async (visits = 0) => visits + 1));
  typed<undefined>()(await ctx.session.update("typedVisits", () => undefined));
  typed<number | undefined>()(
    await ctx.session.update("typedVisits", (visits) => (visits === 3 ? undefined : visits)),
  );
  typed<string>()(await ctx.session.update("whatever", (value) => `${value}!`));
  typed<"dark">()(await ctx.session.update("typedTheme", () => "dark"));
  // @ts-expect-error: visits are a number.
  await ctx.session.update("typedVisits", () => "many");

  typed<Cart | undefined>()(await ctx.session.pop("typedCart"));
  typed<unknown>()(await ctx.session.pop("whatever"));
  typed<Map<string, unknown>>()(await ctx.session.popMany(["typedCart", "whatever"]));

  typed<string>()(ctx.session.getString("typedTheme"));
  typed<number>()(ctx.session.getInt("whatever", 1));
  typed<Date>()(await ctx.session.popDate("whatever"));
  typed<Uint8Array>()(ctx.session.getBytes("whatever"));
  // @ts-expect-error: the fallback of a number is a number.
  ctx.session.getNumber("typedVisits", "none");

  typed<string | undefined>()(ctx.session.id);
  typed<string | undefined>()(ctx.session.userId);
  typed<boolean>()(ctx.session.isNew);
  typed<Date | undefined>()(ctx.session.expiresAt);
  // @ts-expect-error: the id is the manager's.
  ctx.session.id = "mine";
  // @ts-expect-error: a session has no properties of its own.
  ctx.session.user = "ada";
  // @ts-expect-error: a user id is a string.
  ctx.session.login(7);
  // @ts-expect-error: there is no session without one.
  ctx.session = null;

  const flash = ctx.session.namespace<{ message: string }>("flash");
  typed<string | undefined>()(flash.get("message"));
  typed<unknown>()(ctx.session.namespace("other").get("message"));
  // @ts-expect-error: a message is a text.
  flash.set("message", 1);
});

// ── in an app and routers with state and context of their own ──

interface State {
  user: { name: string };
}
interface Custom {
  render(view: string): void;
}

const custom = new Koa<State, Custom>();
custom.use(session());
custom.use((ctx) => {
  typed<Session>()(ctx.session);
  typed<string>()(ctx.state.user.name);
  ctx.render("home");
});

const router = new Router<State, Custom>();
const sessions = createSessions();
router.use(sessions.middleware());
router.use("/group", sessions.middleware(), requireSession({ user: true }));
router.get("/", sessions.middleware(), sessions.preload(), requireSession(), (ctx) => {
  typed<Session>()(ctx.session);
  typed<Session>()(sessions.from(ctx));
  typed<string>()(ctx.state.user.name);
  ctx.render("home");
});
router.post(
  ["/a", "/b"],
  sessions.middleware(),
  requireSession({ redirect: (ctx) => `/sign-in?from=${ctx.path}` }),
  (ctx) => {
    typed<Cart | undefined>()(ctx.session.get("typedCart"));
  },
);
const plainRouter = new Router();
plainRouter.get("/", session(), (ctx: RouterContext) => {
  typed<Session>()(ctx.session);
});
custom.use(router.routes());
app.use(plainRouter.routes());

typed<SessionMiddleware>()(session());
// A function of somebody's own, that knows a context only.
export const userOf = (ctx: ExtendableContext): string => ctx.session.userId ?? "nobody";
export const userOfAny = (ctx: DefaultContext): unknown => ctx.session;

// ── several managers ──

interface AdminData {
  rank: "chief" | "clerk";
}
const admins = createSessions<AdminData>({
  property: "adminSession",
  onSessionNew(created, ctx) {
    typed<Session<AdminData>>()(created);
    typed<ExtendableContext | undefined>()(ctx);
    created.set("rank", "clerk");
  },
});
typed<Sessions<AdminData>>()(admins);
typed<Sessions<SessionData>>()(createSessions());
app.use(admins.middleware());
app.use(async (ctx) => {
  typed<Session<AdminData>>()(admins.from(ctx));
  typed<"chief" | "clerk" | undefined>()(admins.from(ctx).get("rank"));
  typed<unknown>()(admins.from(ctx).get("typedCart"));
  // @ts-expect-error: there is no such rank.
  admins.from(ctx).set("rank", "king");

  typed<Session<AdminData> | undefined>()(await admins.open("id"));
  const { session: made, headers } = await admins.create({
    values: { rank: "chief" },
    userId: "ada",
  });
  typed<Session<AdminData>>()(made);
  typed<Record<string, string>>()(headers);
  // @ts-expect-error: there is no such rank.
  await admins.create({ values: { rank: "king" } });
});

// ── options ──

typed<false>()(isAny<SessionsOptions>());
typed<false>()(isAny<Parameters<typeof createSessions>[0]>());
typed<false>()(isAny<ExtendableContext["session"]>());
function isAny<T>(): 0 extends 1 & T ? true : false {
  return undefined as never;
}

createSessions(Object.freeze({ load: "lazy" }));
createSessions({ load: "lazy", absoluteTimeout: Number.POSITIVE_INFINITY, storeTimeout: 500 });
// @ts-expect-error: of koa-session.
createSessions({ maxAge: 1000 });
// @ts-expect-error: of express-session.
createSessions({ secret: "keyboard cat", resave: false });
// @ts-expect-error: a number of milliseconds.
createSessions({ idleTimeout: "30m" });
// @ts-expect-error: eager or lazy.
createSessions({ load: "never" });
// @ts-expect-error: get, set and destroy are no store.
createSessions({ store: { get() {}, set() {}, destroy() {} } });
// @ts-expect-error: an app is no options.
session(app);
// @ts-expect-error: a role is the app's to check.
requireSession({ role: "admin" });

const stop: () => void = sessions.onEnd(async ({ publicId, owners, reason }) => {
  typed<string>()(publicId);
  typed<ReadonlySet<string>>()(owners);
  typed<"destroyed" | "renewed">()(reason);
});
stop();

// ── what strangers write ──

class TheirStore implements Store {
  async load(key: string): Promise<Loaded> {
    return key === "" ? { status: "renewed" } : { status: "none" };
  }
  async create(key: string, { operation, values }: NewRecord): Promise<string> {
    typed<string>()(operation);
    typed<ReadonlyMap<string, string>>()(values);
    return key;
  }
  async commit(key: string, { set, renewTo = key }: Change): Promise<CommitResult> {
    return set ? { status: "saved", key: renewTo } : { status: "gone" };
  }
  async destroy(): Promise<undefined> {}
}
const synchronous: Store = {
  load: () => ({ status: "none" }),
  create: (key) => key,
  commit: () => ({ status: "gone" }),
  destroy: () => undefined,
  carriesData: { isValid: (id) => id.length > 10 },
};
export const indexed: IndexedStore = {
  ...synchronous,
  list: () => [],
  commitByPublicId: (_owner, _publicId, { renewTo }) => ({ status: "saved", key: renewTo ?? "" }),
  destroyByPublicId: async () => ({ publicId: "", owners: new Set() }),
  destroyAll: async (_owner, { except } = {}) => (except === undefined ? [] : []),
};
const theirTracker: Tracker = {
  get(ctx, text): readonly PresentedToken[] {
    typed<ExtendableContext>()(ctx);
    const id = text ?? ctx.get("X-Their-Id");
    return id === "" ? [] : [id.length > 99 ? { refused: "malformed" } : { id }];
  },
  admit: (_ctx, tracked, record): Admission =>
    tracked.id === undefined || record.owners.size === 0
      ? { status: "refuse", reason: "nobody" }
      : { status: "accept", change: { touch: true }, reissue: true },
  set: async (ctx, id) => ctx.set("X-Their-Id", id),
  clear: (ctx) => ctx.remove("X-Their-Id"),
};
const theirIds: IdGenerator = {
  generate: async (ctx) => ctx?.ip ?? crypto.randomUUID(),
  isValid: (id) => id.length === 36,
};
createSessions({ store: new TheirStore(), tracker: theirTracker, generator: theirIds });
createSessions({ store: synchronous });

// @ts-expect-error: a store says whether it saved.
export const forgetful: Store = { ...synchronous, commit: () => undefined };
// @ts-expect-error: a tracker that can't forget is none.
export const elephant: Tracker = { get: theirTracker.get, set: theirTracker.set };
// @ts-expect-error: an admission is one of two.
export const undecided: Admission = { status: "perhaps" };

// ── errors ──

export function codeOf(error: unknown): SessionErrorCode | undefined {
  if (!(error instanceof SessionError)) return undefined;
  if (error.code === "ERR_SESSION_GONE") return error.code;
  // @ts-expect-error: there is no such code.
  if (error.code === "ERR_SESSION_LOST") return undefined;
  typed<number>()(error.status);
  return error.code;
}
