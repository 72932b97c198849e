import Router from "@koa/router";
import { all } from "./demos.ts";
import { html } from "./html.ts";
import { layout } from "./layout.ts";

/** The first page: one sentence about Lanai, and the four demonstrations. */
export function firstPage(): Router {
  const router = new Router();
  router.get("/", async (ctx) => {
    ctx.body = layout({
      title: "Sessions and live tabs for Koa",
      user: ctx.session.userId,
      path: "/",
      live: false,
      main: html`<section class="hero">
      <h1>Sessions that two tabs can’t break, and live tabs that end with them</h1>
      <p class="lead">Lanai is a set of Koa middleware for sessions, sign-outs, flash messages and live messages, on SQLite, Redis, PostgreSQL or NATS.</p>
    </section>
    <h2 class="section">Four things to see, each on one page with two tabs</h2>
    <ul class="cards demos">${all.map(
      ({ id, title, promise }) => html`
      <li><h3><a href="/demos/${id}">${title}</a></h3><p>${promise}</p></li>`,
    )}
    </ul>
    <h2 class="section">Then with two browsers</h2>
    <ul class="cards demos">
      <li><h3><a href="/rooms">Chat in a room</a></h3><p>History, who is here, who is typing, unread counts. What you write offline arrives once.</p></li>
      <li><h3><a href="/devices">End another browser</a></h3><p>Your devices, by name, as they open and close tabs. The one that you end leaves its page at once.</p></li>
    </ul>`,
    });
  });
  return router;
}
