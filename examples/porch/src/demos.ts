import Router from "@koa/router";
import { bothSurvive } from "./demos/both-survive.ts";
import type { Demo, DemoParts } from "./demos/demo.ts";
import { missNothing } from "./demos/miss-nothing.ts";
import { saidOnce } from "./demos/said-once.ts";
import { signOut } from "./demos/sign-out.ts";
import { html } from "./html.ts";
import { layout } from "./layout.ts";

export const all: readonly Demo[] = [bothSurvive, signOut, saidOnce, missNothing];

const page = (demo: Demo, user: string | undefined): string =>
  layout({
    title: demo.title,
    user,
    live: false,
    main: html`<h1>${demo.title}</h1>
    <p class="lead">${demo.promise}</p>
    <p>${demo.steps}</p>
    <div class="actions">${demo.controls}</div>
    <div class="stage">
    <div class="panes">
      <iframe title="Tab a" src="/demos/${demo.id}/a"></iframe>
      <iframe title="Tab b" src="/demos/${demo.id}/b"></iframe>
    </div>
    <section><h2>The lines that do it</h2>
    <pre class="card" tabindex="0"><code>${demo.code}</code></pre>
    <p class="hint">From <code>examples/porch/src/demos/${demo.id}.ts</code>, which the tests run.</p></section></div>`,
  });

export function demos(parts: DemoParts): Router {
  const router = new Router();
  router.use(parts.clients.middleware());
  router.use((ctx, next) => {
    ctx.set("Cache-Control", "no-store");
    return next();
  });
  for (const demo of all) {
    router.get(`/demos/${demo.id}`, (ctx) => {
      // Both panes are to find the same session.
      ctx.session.set("demo", demo.id);
      ctx.body = page(demo, ctx.session.userId);
    });
    demo.routes(router, parts);
  }
  return router;
}
