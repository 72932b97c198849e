import type { Clients, Listener } from "@lanai/clients";
import { buildSchema } from "graphql";
import type { ExtendableContext } from "koa";

export const schema = buildSchema(`
  type Auth {
    "The token of this tab's session, where one was just made: send it as Session-ID."
    sessionId: String
    "Who is signed in, in this tab."
    user: String
  }

  type User {
    name: String!
    "The tabs of this user that are open now."
    tabs: Int!
  }

  type Query {
    auth: Auth!
    user: User
  }

  type Mutation {
    signIn(name: String!): Auth!
    "Ends every session and every live connection of this browser."
    terminate: Boolean!
  }

  type Subscription {
    auth: Auth!
    user: User
  }
`);

/** The context of every resolver: over HTTP the request, on a live connection its listener too. */
export interface Context {
  readonly ctx: ExtendableContext;
  readonly listener?: Listener;
}

/** The event that makes a tab's subscriptions yield. */
const TOLD = "told";

interface Auth {
  readonly sessionId?: string;
  readonly user: string | undefined;
}

/** The resolvers, by operation, as graphql-ws takes them. */
export function rootsOf(clients: Clients) {
  const userOf = (name: string | undefined) =>
    name === undefined ? null : { name, tabs: clients.presence({ user: name }).listeners };

  /** Lets all tabs of a browser send their state again: each has a session and a state of its own. */
  const tell = async ({ client }: ExtendableContext): Promise<void> => {
    if (client) await clients.send({ client: client.id }, TOLD);
  };

  const query = {
    async auth(_: unknown, { ctx, listener }: Context): Promise<Auth> {
      if (listener) return { user: listener.user };
      if (ctx.session.isNew) ctx.session.set("since", new Date());
      await ctx.session.commit();
      await tell(ctx);
      const sessionId = ctx.response.get("Session-ID");
      return { user: ctx.session.userId, ...(sessionId !== "" && { sessionId }) };
    },

    user: (_: unknown, { ctx, listener }: Context) =>
      userOf(listener ? listener.user : ctx.session.userId),
  };

  const mutation = {
    async signIn({ name }: { name: string }, { ctx, listener }: Context): Promise<Auth> {
      // The head of a live connection has left: it can't bring the new token.
      if (listener) throw new Error("sign in over HTTP");
      ctx.session.login(name);
      await ctx.session.commit();
      await tell(ctx);
      return { user: name, sessionId: ctx.response.get("Session-ID") };
    },

    async terminate(_: unknown, { ctx }: Context): Promise<boolean> {
      if (ctx.client) await clients.terminate({ client: ctx.client.id });
      return ctx.client !== undefined;
    },
  };

  const subscription = {
    auth: (_: unknown, { listener }: Required<Context>) =>
      states(listener, () => ({ auth: { user: listener.user } })),

    user: (_: unknown, { listener }: Required<Context>) =>
      states(listener, () => ({ user: userOf(listener.user) })),
  };

  return { query, mutation, subscription };
}

/** Yields the present state, and the new state whenever the tab receives an event. */
function states<T>(listener: Listener, state: () => T): AsyncIterableIterator<T> {
  const events = listener.events(TOLD, { first: null });
  return {
    async next() {
      const { done } = await events.next();
      return done ? { done, value: undefined } : { done: false, value: state() };
    },
    // Not an async generator, whose `return` would wait for the next event.
    async return() {
      await events.return?.();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
