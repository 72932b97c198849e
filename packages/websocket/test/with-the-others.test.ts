import { flash } from "@lanai/flash";
import { createPubSub } from "@lanai/pubsub";
import { session } from "@lanai/session";
import { expect, test, vi } from "vitest";
import { until } from "../../../scripts/testing/until.ts";
import { koaVersions } from "../../session/test/koa-versions.ts";
import { siteOf } from "./site.ts";

test.each(koaVersions)(
  "%s: session, flash and pub/sub are there as in any request, and a subscription ends with the socket",
  async (_version, App) => {
    const bus = createPubSub();
    const app = new App();
    app.use(session()).use(flash()).use(bus.middleware());
    app.use(async (ctx) => {
      if (ctx.path === "/sign-in") {
        ctx.session.login("ada");
        ctx.flash("Welcome");
        ctx.status = 204;
        return;
      }
      const { userId } = ctx.session;
      const welcome = await ctx.flash.pop();
      const socket = await ctx.upgrade();
      socket.send(`${userId} ${welcome.map((message) => message.message)}`);
      await ctx.pubsub.subscribe<string>("room.>", (text) => socket.send(text));
      socket.send("subscribed");
    });
    await using site = await siteOf(app);
    const { headers } = await fetch(`${site.url}/sign-in`);
    const Cookie = headers.getSetCookie()[0]?.split(";")[0] ?? "";

    const client = await site.connect("/", { headers: { Cookie } });
    await until(() => expect(client.messages).toEqual(["ada Welcome", "subscribed"]));
    await bus.publish("room.blue", "hello");
    await until(() => expect(client.messages.at(-1)).toBe("hello"));

    const [socket] = site.upgrades.sockets;
    const send = vi.spyOn(socket as NonNullable<typeof socket>, "send");
    client.socket.close();
    await client.closed;
    await until(() => expect(site.upgrades.sockets.size).toBe(0));
    await bus.publish("room.blue", "to nobody");
    expect(send).not.toHaveBeenCalled();
  },
);
