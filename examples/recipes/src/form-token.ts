import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { sameOrigin } from "@lanai/same-origin";
import { createSessions, memoryStore } from "@lanai/session";
import Koa, { type Context } from "koa";

const SECRET = process.env.SECRET ?? randomBytes(32);
const sessions = createSessions({ store: memoryStore() });

/** A token of the session, which has a public id before anything is stored, and keeps it. */
const tokenOf = ({ session }: Context): Buffer =>
  createHmac("sha256", SECRET)
    .update(session.publicId ?? "")
    .digest();

const isOwn = (ctx: Context): boolean => {
  const token = Buffer.from(ctx.get("X-Form-Token"), "base64url");
  return token.length === 32 && timingSafeEqual(token, tokenOf(ctx));
};

const app = new Koa();
app.use(sameOrigin());
app.use(sessions.middleware());
app.use((ctx) => {
  if (ctx.method === "POST" && !isOwn(ctx)) ctx.throw(403, "the form is of another session");
  const count = ctx.session.getInt("count") + 1;
  ctx.session.set("count", count);
  ctx.body = { count, token: tokenOf(ctx).toString("base64url") };
});
app.listen(3000);
