import { defineConfig } from "vitepress";
import { slugOf } from "../../scripts/docs/markdown.js";
import { SECTIONS } from "../../scripts/docs/pages.js";

const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path fill="#3451b2" d="M2 14 16 4l14 10v3h-3v11h-4V17H9v11H5V17H2z"/></svg>';
const address = (to) => `/${to.replace(/\.md$/, "")}`;
const sidebar = SECTIONS.map(({ title, pages, collapsed }) => ({
  text: title,
  ...(collapsed && { collapsed }),
  items: pages.map((page) => ({ text: page.title, link: address(page.to) })),
}));

export default defineConfig({
  title: "Lanai",
  description: "Sessions, flash messages, pub/sub, WebSockets and server-sent events for Koa.",
  // A porch's roof. In the page itself, so that it is no request.
  head: [["link", { rel: "icon", href: `data:image/svg+xml,${encodeURIComponent(ICON)}` }]],
  srcDir: "pages",
  outDir: "dist",
  cacheDir: ".cache",
  cleanUrls: false,
  lastUpdated: false,
  markdown: { anchor: { slugify: slugOf }, headers: { slugify: slugOf } },
  themeConfig: {
    nav: [
      { text: "Getting started", link: "/getting-started" },
      { text: "Troubleshooting", link: "/troubleshooting" },
      { text: "Security", link: "/security" },
      { text: "API reference", link: "/api/session" },
    ],
    sidebar,
    outline: [2, 3],
    search: { provider: "local" },
    externalLinkIcon: true,
  },
});
