import { describe, expect, test } from "vitest";
import { expectRedirect, startApp } from "./app.ts";
import { Browser } from "./browser.ts";
import { eachTest } from "./each-test.ts";

const site = eachTest(startApp);

describe("a room", () => {
  const id = "one";

  test("keeps a message that was sent twice once, and counts it once", async () => {
    const other = new Browser(site.url);
    await site.browser.signIn("ada");
    await other.signIn("bob");
    for (let i = 0; i < 2; i++) {
      expectRedirect(
        await site.browser.post("/rooms/lobby", { id, text: "Aloha <b>" }),
        303,
        "/rooms/lobby",
      );
    }
    expect(await other.page("/rooms")).toContain("1 unread");
    expect((await other.page("/rooms/lobby")).match(/Aloha &#60;b&#62;/g)).toHaveLength(1);
    expect(await other.page("/rooms")).not.toContain("unread");
  });

  test("keeps what two tabs have read at the same moment", async () => {
    const other = new Browser(site.url);
    await site.browser.signIn("ada");
    await other.signIn("bob");
    for (const room of ["lobby", "garden", "beach"]) {
      await site.browser.post(`/rooms/${room}`, { id, text: "Aloha" });
    }
    await Promise.all(["lobby", "garden", "beach"].map((room) => other.get(`/rooms/${room}`)));
    expect(await other.page("/rooms")).not.toContain("unread");
  });

  test("that is none is a 404, and an empty message a 400", async () => {
    await site.browser.signIn("ada");
    expect((await site.browser.get("/rooms/attic")).status).toBe(404);
    expect((await site.browser.post("/rooms/attic", { id, text: "Aloha" })).status).toBe(404);
    expect((await site.browser.post("/rooms/lobby", { id, text: " " })).status).toBe(400);
    expect((await site.browser.post("/rooms/lobby", { id: "a b", text: "Aloha" })).status).toBe(
      400,
    );
  });

  test("is for those who are signed in", async () => {
    expectRedirect(await site.browser.get("/rooms/lobby"), 302, "/sign-in");
  });
});
