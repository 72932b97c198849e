import { type Html, html } from "./html.ts";
import { head } from "./layout.ts";

/**
 * A page for one pane of a demonstration: a tab of its own, in a frame. It has a live connection if it is
 * not `plain`, and is shown anew at each change if it is `refreshed`.
 */
export const pane = (
  title: string,
  main: Html,
  kind: "plain" | "live" | "refreshed" = "refreshed",
): string =>
  html`<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>${title}</title>
  ${head}
</head>
<body class="pane"${kind === "plain" ? undefined : html` data-live data-ended="?ended"`}>
  <main id="main"${kind === "refreshed" ? html` data-refresh="change"` : undefined}><h1>${title}</h1>
  ${main}</main>
</body>
</html>
`.text;
