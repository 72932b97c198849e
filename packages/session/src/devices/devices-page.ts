import {
  checkOptions,
  func,
  type Rules,
  text,
  value,
  withMethods,
} from "@lanai/connection/options";
import { requestOriginOf, verdict } from "@lanai/connection/same-origin";
import type { ExtendableContext } from "koa";
import { SessionError } from "../errors.ts";
import { type RequireSessionOptions, requireSession } from "../manager/require-session.ts";
import type { Session } from "../session.ts";
import type { SessionMiddleware, Sessions } from "../sessions.ts";
import { htmlOf, pageOf } from "./devices-html.ts";
import { ACTIONS, type Action, type DevicesPageView, type ListedDevice } from "./devices-view.ts";
import { formOf } from "./form.ts";

/** The calls of `@lanai/clients` that the page uses. It doesn't import the package. */
export interface LiveClients {
  presence(target: { readonly session: string }): { readonly listeners: number };
}

/** The options of `devicesPage`. */
export interface DevicesPageOptions
  extends Pick<RequireSessionOptions, "within" | "methods" | "property"> {
  /** The manager whose sessions are listed. Its store must be able to find sessions by owner. */
  // biome-ignore lint/suspicious/noExplicitAny: a manager of any kind of data.
  readonly sessions: Sessions<any>;
  /** `createClients(…)` of `@lanai/clients`: the page then shows which devices are connected now. */
  readonly clients?: LiveClients;
  /** Where the page is, as a browser sees it: 1 to 256 characters of a path. Default: `/devices`. */
  readonly path?: string;
  /**
   * The redirect URL for users who must sign in first, or again, instead of a 401, as in `requireSession`.
   * `returnTo` is the page.
   */
  readonly redirect?: string | ((ctx: ExtendableContext, returnTo: string) => string);
  /** The redirect URL after a sign-out on this page. Default: `/`. */
  readonly signedOut?: string;
  /**
   * Returns the whole document, as HTML. Default: a plain one around `view.html`, which has classes for a
   * style sheet and neither styles nor scripts.
   */
  readonly render?: (ctx: ExtendableContext, view: DevicesPageView) => string | Promise<string>;
}

const RULES: Rules<DevicesPageOptions> = {
  sessions: {
    ...withMethods("what createSessions() returned", "from", "list", "destroyAll"),
    isRequired: true,
  },
  clients: withMethods("what createClients() returned", "presence"),
  path: text('a path such as "/account/devices"', /^(?:\/[\w.~-]+){1,16}$/),
  within: value("as in requireSession", () => true),
  methods: value("as in requireSession", () => true),
  property: value("as in requireSession", () => true),
  redirect: value("a URL or a function", (it) => ["string", "function"].includes(typeof it)),
  signedOut: text("a path or a URL", /^[!-~]{1,2048}$/),
  render: func,
};

/**
 * Returns a middleware with the page on which a signed-in user sees their devices, names them and
 * signs any of them out (OWASP ASVS 5.0, 7.5.2). Mount it after `sessions.middleware()`.
 *
 * It works without scripts. A POST from another site is refused with a 403, whatever the app mounts
 * before it, and so is one while somebody acts for the user. With `within` or `methods`, a POST needs a
 * fresh sign-in.
 *
 * @throws TypeError or RangeError for an option that doesn't exist or can't be.
 */
export function devicesPage(options: DevicesPageOptions): SessionMiddleware {
  checkOptions("devicesPage", options, RULES);
  const {
    sessions,
    clients,
    path = "/devices",
    redirect,
    signedOut = "/",
    within,
    methods,
  } = options;
  if (!sessions.isIndexed) {
    throw new TypeError("devicesPage: the store of these sessions can't find sessions by owner");
  }
  const { property, render = (_ctx, { html }) => pageOf(html) } = options;
  const actions = Object.fromEntries(ACTIONS.map((it) => [it, `${path}/${it}`])) as Record<
    Action,
    string
  >;
  const guard = {
    user: true,
    ...(property !== undefined && { property }),
    ...(redirect !== undefined && {
      redirect: (ctx: ExtendableContext) =>
        typeof redirect === "string" ? redirect : redirect(ctx, path),
    }),
  };
  const mayRead = requireSession(guard);
  const mayChange = requireSession({
    ...guard,
    impersonated: false,
    ...(within !== undefined && { within }),
    ...(methods !== undefined && { methods }),
  });

  const show = async (ctx: ExtendableContext, status: number, error?: string): Promise<void> => {
    const session = sessions.from(ctx);
    const devices = await listOf(session, sessions, clients);
    const view = { devices, error, actions };
    const html = htmlOf(view);
    ctx.status = status;
    ctx.type = "html";
    ctx.set("Cache-Control", "no-store");
    // Nobody else's page may have its visitors press these buttons (OWASP Clickjacking Defense Cheat Sheet).
    if (!ctx.response.get("Content-Security-Policy")) {
      ctx.set(
        "Content-Security-Policy",
        "base-uri 'none'; frame-ancestors 'none'; object-src 'none'; script-src 'none'",
      );
    }
    ctx.body = await render(ctx, { ...view, html });
  };

  return async (ctx, next) => {
    if (ctx.path === path) {
      if (!isAllowed(ctx, "GET, HEAD")) return;
      return mayRead(ctx, () => show(ctx, 200));
    }
    const action = ACTIONS.find((it) => ctx.path === actions[it]);
    if (action === undefined) return next();
    if (!isAllowed(ctx, "POST")) return;
    refuseOtherSites(ctx);
    return mayChange(ctx, async () => {
      const session = sessions.from(ctx);
      const refused = await carryOut(action, await formOf(ctx), session, sessions);
      if (refused !== undefined) return show(ctx, 422, refused);
      ctx.status = 303;
      ctx.redirect(session.userId === undefined ? signedOut : path);
    });
  };
}

/** @returns Why it is refused. */
async function carryOut(
  action: Action,
  form: URLSearchParams,
  session: Session,
  sessions: Sessions,
): Promise<string | undefined> {
  const { userId: user = "", publicId } = session;
  if (action === "label") {
    const [device, label] = [form.get("device"), form.get("label") ?? ""];
    try {
      if (device === null || device === publicId) session.labelDevice(label);
      // As below: it may have ended meanwhile.
      else await sessions.labelDevice({ user }, device, label);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      return "A name has at most 64 characters, on one line.";
    }
  } else if (action === "end") {
    const device = form.get("device") ?? "";
    // By the request, so that its cookie goes too.
    if (device === publicId) await session.destroy();
    // One that has ended meanwhile, or is somebody else's, is not in the list that comes next.
    else await sessions.destroyByPublicId({ user }, device);
  } else if (action === "end-others") {
    await sessions.destroyAll({ user }, { except: publicId });
  } else {
    await sessions.destroyAll({ user });
    await session.destroy();
  }
  return undefined;
}

async function listOf(
  { userId: user = "", publicId }: Session,
  sessions: Sessions,
  clients: LiveClients | undefined,
): Promise<ListedDevice[]> {
  const all = (await sessions.list({ user })).map((it) => ({
    ...it,
    isCurrent: it.publicId === publicId,
    listeners: clients?.presence({ session: it.publicId }).listeners,
  }));
  const order = (it: ListedDevice) => (it.isCurrent ? Infinity : it.seenAt.getTime());
  return all.sort((a, b) => order(b) - order(a));
}

function isAllowed(ctx: ExtendableContext, allow: string): boolean {
  if (allow.split(", ").includes(ctx.method)) return true;
  ctx.status = 405;
  ctx.set("Allow", allow);
  return false;
}

function refuseOtherSites(ctx: ExtendableContext): void {
  if (verdict(requestOriginOf(ctx), new Set()) === undefined) return;
  throw new SessionError("ERR_SESSION_OTHER_SITE", "This request came from another site.", {
    status: 403,
    expose: true,
  });
}
