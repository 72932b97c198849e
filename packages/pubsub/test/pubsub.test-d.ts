import {
  createPubSub,
  type Event,
  type Meta,
  type PubSub,
  pubsub,
  type StandardSchema,
} from "@lanai/pubsub";
import Koa from "koa";

interface Chat {
  readonly text: string;
}
declare const schema: StandardSchema<Chat>;
declare const backend: PubSub;

const bus = createPubSub({ backend });
const app = new Koa();
app.use(pubsub());
app.use(bus.middleware());

app.use(async (ctx) => {
  await ctx.pubsub.publish<Chat>("chat", { text: "hello" });
  // @ts-expect-error: not what the generic says
  await ctx.pubsub.publish<Chat>("chat", { txt: "hello" });

  await ctx.pubsub.subscribe<Chat>("chat", ({ text }, meta) => [text.length, meta.time]);
  await ctx.pubsub.subscribe("chat", ({ text }) => text.length, { schema });
  await ctx.pubsub.subscribe("chat", (data, meta: Meta) => {
    // @ts-expect-error: without a type it is unknown
    data.text;
    return meta.subject;
  });

  for await (const { data, id } of ctx.pubsub.events("chat", { schema, since: ctx.get("x") })) {
    const told: [string, string | undefined] = [data.text, id];
    ctx.body = told;
  }
  const history: Event<Chat>[] = await bus.history<Chat>("chat", 5);
  // @ts-expect-error: the limit is required
  await bus.history("chat");
  await ctx.pubsub.raw.subscribe("chat", (bytes) => bytes.byteLength);
  // @ts-expect-error: bytes alone
  await ctx.pubsub.raw.publish("chat", "text");
  // @ts-expect-error: there is no such option
  await bus.subscribe("chat", () => {}, { replays: 5 });
  return history;
});
