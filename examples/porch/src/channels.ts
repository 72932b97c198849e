import { channel, createChannels, type } from "@lanai/channels";
import type { Clients } from "@lanai/clients";
import type { Bus } from "@lanai/pubsub";
import * as v from "valibot";

export const ROOMS: readonly string[] = ["lobby", "garden", "beach"];

/** A message that a visitor writes. Because of its id it is stored once, however often it is sent. */
export const Draft = v.object({
  id: v.pipe(v.string(), v.regex(/^[\w-]{1,64}$/)),
  text: v.pipe(v.string(), v.trim(), v.minLength(1), v.maxLength(500)),
});

export interface Post extends v.InferOutput<typeof Draft> {
  readonly from: string;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** Returns a draft as a post of a user. The id is the user's, so that nobody can take another's. */
export const postOf = (from: string, { id, text }: v.InferOutput<typeof Draft>): Post => ({
  ...{ id: `${from}.${id}`, from, text },
  time: Date.now(),
});

/** The live rooms. The page's script has their types: see `page/room.ts`. */
export function declareChannels(clients: Clients, pubsub: Bus) {
  return createChannels({
    ...{ clients, pubsub },
    channels: {
      // Of a demonstration: each session has a log of its own.
      "log.:id": channel({
        join: ({ session, params }) => session.publicId === params.id,
        events: { message: { schema: type<string>() } },
      }),
      "room.:id": channel({
        join: ({ session, params }) => session.userId !== undefined && ROOMS.includes(params.id),
        presence: ({ session }) => ({ name: session.userId ?? "" }),
        events: {
          post: { schema: type<Post>() },
          typing: { schema: type<{ readonly name: string }>(), ephemeral: true },
        },
        calls: {
          say: {
            input: Draft,
            async handle(draft, { session, publish }) {
              const post = postOf(session.userId ?? "", draft);
              await publish("post", post, { messageId: post.id });
            },
          },
          typing: {
            input: v.null(),
            handle: (_, { session, publish }) => publish("typing", { name: session.userId ?? "" }),
          },
        },
      }),
    },
  });
}

export type Live = ReturnType<typeof declareChannels>;
