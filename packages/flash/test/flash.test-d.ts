/** Compiled, not run: what TypeScript says of an app that uses flash messages. */
import Router from "@koa/router";
import {
  type Flash,
  type FlashError,
  type FlashErrorCode,
  type FlashLevel,
  type FlashMessage,
  type FlashMiddleware,
  type FlashOptions,
  type FlashText,
  flash,
  flashOf,
} from "@lanai/flash";
import { createSessions, type Session } from "@lanai/session";
import Koa from "koa";

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** Fails to compile unless the value's type is exactly `Expected`. */
function typed<Expected>() {
  return <Actual>(
    _value: Actual,
    ..._proof: Equal<Actual, Expected> extends true ? [] : [never]
  ): void => {};
}

const options: FlashOptions = { property: "tab", life: "next-request", maxMessages: 10 };
// @ts-expect-error no such option
flash({ key: "flash" });
// @ts-expect-error no such life
flash({ life: "forever" });

const app = new Koa();
app.use(flash());
const router = new Router();
router.use(flash(options));
router.get("/", flash(), async (ctx) => {
  typed<Flash>()(ctx.flash);
  ctx.flash("text");
  ctx.flash(0, "what ever", { any: "data" });
  ctx.flash.success(false, new Date());
  ctx.flash.now(1n, "warning");
  // @ts-expect-error an object is data
  ctx.flash({ text: "text" });
  // @ts-expect-error a level is a text
  ctx.flash("text", 1);
  // @ts-expect-error there are four short ways
  ctx.flash.fault("text");

  typed<FlashMessage[]>()(await ctx.flash.pop("error"));
  typed<FlashMessage[]>()(ctx.flash.peek());
  ctx.flash.keep("what ever");
  const [message] = ctx.flash.peek();
  typed<FlashMessage | undefined>()(message);
  if (message === undefined) return;
  typed<FlashText>()(message.message);
  typed<FlashLevel>()(message.level);
  typed<unknown>()(message.data);
  // @ts-expect-error what was told stays as it was
  message.level = "info";
});

export const middleware: FlashMiddleware = flash();
export const codeOf = (error: FlashError): FlashErrorCode => error.code;

// Sessions of any shape.
interface Shop {
  cart: string[];
}
export async function job(ofShop: Session<Shop>): Promise<void> {
  typed<Flash>()(flashOf(ofShop));
  const opened = await createSessions<Shop>().open("id");
  if (opened) flashOf(opened).info("text");
}
