/// <reference path="../../../scripts/services/dom.d.ts" />
import { execFile, execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer, type Server as SecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { sameOrigin } from "@lanai/same-origin";
import Koa from "koa";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { programPath } from "../../../scripts/servers.js";
import type { Recorded, Scheme, Source } from "./recorded.ts";

const run = promisify(execFile);

/** `shop.test` is the site, `www.shop.test` of the same site, `evil.test` another one. */
const HOSTS = { own: "shop.test", sibling: "www.shop.test", other: "evil.test" };

const PAGES: Record<string, Record<string, string>> = {
  "/page": {},
  "/no-referrer": { "Referrer-Policy": "no-referrer" },
};

/** The server of all hosts: pages by GET, and what is sent by any other method goes to the app. */
class Recorder implements AsyncDisposable {
  readonly #arrived = new Map<string, (recorded: Omit<Recorded, "scheme" | "from">) => void>();
  readonly #servers: Readonly<Record<Scheme, Server | SecureServer>>;

  constructor(tls: { readonly key: Buffer; readonly cert: Buffer }) {
    const app = new Koa();
    app.silent = true;
    app.use(async (ctx, next) => {
      try {
        await next();
      } finally {
        this.#record(ctx);
      }
    });
    app.use(sameOrigin());
    app.use((ctx) => {
      ctx.body = "ok";
    });
    const callback = app.callback();
    const answer = (request: IncomingMessage, response: ServerResponse) => {
      const headers = PAGES[request.url ?? ""];
      if (request.method === "GET" && headers) {
        response.writeHead(200, { "Content-Type": "text/html", ...headers }).end("<p>page</p>");
      } else if (request.url?.startsWith("/through")) {
        const to = new URL(request.url, "http://a").searchParams.get("to") ?? "";
        response.writeHead(307, { Location: to }).end();
      } else {
        void callback(request, response);
      }
    };
    this.#servers = { http: createServer(answer), https: createSecureServer(tls, answer) };
  }

  async listen(): Promise<void> {
    for (const server of Object.values(this.#servers)) {
      await once(server.listen(0, "127.0.0.1"), "listening");
    }
  }

  #portOf(scheme: Scheme): number {
    const address = this.#servers[scheme].address() as AddressInfo;
    return address.port;
  }

  origin(scheme: Scheme, source: Source): string {
    return `${scheme}://${HOSTS[source]}:${this.#portOf(scheme)}`;
  }

  /** `http://shop.test:12345` as `http://own`. */
  #named(origin: string): string {
    for (const scheme of ["http", "https"] as const) {
      for (const source of ["own", "sibling", "other"] as const) {
        if (origin === this.origin(scheme, source)) return `${scheme}://${source}`;
      }
    }
    return origin.replace(/(?<=-extension:\/\/)[a-z]+$/, "id");
  }

  #record(ctx: Koa.Context): void {
    const name = ctx.path.split("/").at(-1) ?? "";
    const { origin, "sec-fetch-site": site, cookie } = ctx.headers;
    this.#arrived.get(name)?.({
      name: decodeURIComponent(name),
      method: ctx.method,
      ...(origin !== undefined && { origin: this.#named(origin) }),
      ...(site !== undefined && { site: String(site) }),
      ...(cookie !== undefined && { cookie: true as const }),
      status: ctx.status === 200 ? 200 : 403,
    });
  }

  /** What arrives under a name while it is sent. */
  async during(
    name: string,
    send: () => Promise<unknown>,
  ): Promise<Omit<Recorded, "scheme" | "from">> {
    const key = encodeURIComponent(name);
    const { promise, resolve } = Promise.withResolvers<Omit<Recorded, "scheme" | "from">>();
    this.#arrived.set(key, resolve);
    await send();
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of Object.values(this.#servers)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }
}

type Send = (page: Page, url: string) => Promise<unknown>;

const submitted = (url: string): string =>
  `<form method="post" action="${url}"></form><script>document.forms[0].submit()</script>`;

/** Goes to another page, and waits until it is there: what comes next would interrupt it. */
const navigating =
  (go: (page: Page, url: string) => Promise<unknown>): Send =>
  async (page, url) => {
    const arrived = page.waitForResponse((response) => response.status() !== 307);
    await go(page, url);
    await (await arrived).finished();
    await page.waitForLoadState();
  };

/** Runs a script in the page, which is a text: Node's types don't know the page's names. */
const scripted =
  (script: (url: string) => string): Send =>
  (page, url) =>
    page.evaluate(script(JSON.stringify(url)));

const form: Send = navigating(
  scripted(
    (url) => `{
      const form = document.createElement("form");
      form.method = "post";
      form.action = ${url};
      document.body.append(form);
      setTimeout(() => form.submit());
    }`,
  ),
);

const fetching = (init: { method?: string; mode?: "cors" | "no-cors" }): Send => {
  const options = JSON.stringify({ method: "POST", credentials: "include", ...init });
  return scripted((url) => `fetch(${url}, ${options}).then(() => {}, () => {})`);
};

/** Runs what `html` does in a sandboxed frame, whose origin is `null`. */
const framed =
  (html: (url: string) => string): Send =>
  (page, url) =>
    page.evaluate(`{
      const frame = document.createElement("iframe");
      frame.setAttribute("sandbox", "allow-scripts allow-forms");
      frame.srcdoc = ${JSON.stringify(html(url))};
      document.body.append(frame);
    }`);

/** Each way in which a page sends something, with the pages that try it. */
const WAYS: readonly {
  readonly name: string;
  readonly from: readonly Source[];
  readonly path?: string;
  readonly send: Send;
}[] = [
  { name: "form", from: ["own", "sibling", "other"], send: form },
  { name: "fetch cors", from: ["own", "sibling", "other"], send: fetching({ mode: "cors" }) },
  { name: "fetch no-cors", from: ["own", "sibling", "other"], send: fetching({ mode: "no-cors" }) },
  { name: "fetch DELETE", from: ["own"], send: fetching({ method: "DELETE" }) },
  {
    name: "beacon",
    from: ["own", "other"],
    send: scripted((url) => `navigator.sendBeacon(${url}, "x")`),
  },
  { name: "form in a sandboxed frame", from: ["own", "other"], send: framed(submitted) },
  {
    name: "fetch in a sandboxed frame",
    from: ["own", "other"],
    send: framed((url) => `<script>fetch('${url}', { method: 'POST', mode: 'no-cors' })</script>`),
  },
  { name: "form without a referrer", from: ["own", "other"], path: "/no-referrer", send: form },
  {
    name: "fetch without a referrer",
    from: ["own", "other"],
    path: "/no-referrer",
    send: fetching({ mode: "no-cors" }),
  },
  {
    name: "link",
    from: ["own", "other"],
    send: navigating(scripted((url) => `setTimeout(() => location.assign(${url})), 0`)),
  },
  { name: "address bar", from: ["own"], send: (page, url) => page.goto(url) },
];

async function certificate(): Promise<{ key: Buffer; cert: Buffer }> {
  const folder = mkdtempSync(join(tmpdir(), "lanai-"));
  try {
    const [key, cert] = [join(folder, "key"), join(folder, "cert")];
    const names = "subjectAltName=DNS:shop.test,DNS:*.shop.test,DNS:evil.test";
    const make = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    execFileSync(
      "openssl",
      [...make, "-keyout", key, "-out", cert, "-subj", "/CN=shop.test", "-addext", names],
      {
        stdio: "ignore",
      },
    );
    return { key: readFileSync(key), cert: readFileSync(cert) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const ARGS = [
  "--disable-background-networking",
  "--no-proxy-server",
  "--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

const LAUNCH = {
  executablePath: programPath("chromium"),
  chromiumSandbox: process.getuid?.() !== 0,
  args: ARGS,
};

async function recordPages(recorder: Recorder, context: BrowserContext): Promise<Recorded[]> {
  const recorded: Recorded[] = [];
  const page = await context.newPage();
  for (const scheme of ["http", "https"] as const) {
    const urlOf = (name: string) => `${recorder.origin(scheme, "own")}/${encodeURIComponent(name)}`;
    for (const { name, from, path = "/page", send } of WAYS) {
      for (const source of from) {
        await page.goto(`${recorder.origin(scheme, source)}${path}`);
        const sent = await recorder.during(name, () => send(page, urlOf(name)));
        recorded.push({ scheme, from: source, ...sent });
      }
    }
    const name = "form that another site sends back";
    const away = `${recorder.origin(scheme, "other")}/through?to=${encodeURIComponent(urlOf(name))}`;
    await page.goto(`${recorder.origin(scheme, "own")}/page`);
    const sent = await recorder.during(name, () => form(page, away));
    recorded.push({ scheme, from: "own", ...sent });
  }
  return recorded;
}

async function recordExtension(recorder: Recorder): Promise<Recorded[]> {
  const folder = mkdtempSync(join(tmpdir(), "lanai-"));
  const extension = join(folder, "extension");
  try {
    execFileSync("mkdir", ["-p", extension]);
    const manifest = {
      manifest_version: 3,
      name: "recorder",
      version: "1",
      background: { service_worker: "worker.js" },
      host_permissions: ["http://*/*", "https://*/*"],
    };
    writeFileSync(join(extension, "manifest.json"), JSON.stringify(manifest));
    writeFileSync(join(extension, "worker.js"), "");
    const context = await chromium.launchPersistentContext(join(folder, "profile"), {
      ...LAUNCH,
      ignoreHTTPSErrors: true,
      args: [
        ...ARGS,
        "--headless=new",
        `--load-extension=${extension}`,
        `--disable-extensions-except=${extension}`,
        "--disable-features=DisableLoadExtensionCommandLineSwitch",
      ],
    });
    try {
      const worker = context.serviceWorkers()[0] ?? (await context.waitForEvent("serviceworker"));
      const name = "fetch of an extension";
      const url = `${recorder.origin("http", "own")}/${encodeURIComponent(name)}`;
      const sent = await recorder.during(name, () =>
        worker.evaluate((url) => fetch(url, { method: "POST" }).catch(() => {}), url),
      );
      return [{ scheme: "http", from: "other", ...sent }];
    } finally {
      await context.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function recordCurl(recorder: Recorder): Promise<Recorded[]> {
  const recorded: Recorded[] = [];
  for (const [name, args] of [
    ["curl", []],
    ["curl with a cookie", ["-b", "sid=x"]],
    [
      "curl with a cookie and Origin",
      ["-b", "sid=x", "-H", `Origin: ${recorder.origin("http", "own")}`],
    ],
  ] as const) {
    const url = `${recorder.origin("http", "own")}/${encodeURIComponent(name)}`;
    const resolve = `${new URL(url).host}:127.0.0.1`;
    const sent = await recorder.during(name, () =>
      run("curl", ["-s", "--noproxy", "*", "--resolve", resolve, "-X", "POST", ...args, url]),
    );
    recorded.push({ scheme: "http", from: "own", ...sent });
  }
  return recorded;
}

/** Records what Chromium and curl send: run by the test, which compares it with `recorded.ts`. */
export async function record(): Promise<Recorded[]> {
  await using recorder = new Recorder(await certificate());
  await recorder.listen();
  const browser = await chromium.launch(LAUNCH);
  try {
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const pages = await recordPages(recorder, context);
    return [...pages, ...(await recordExtension(recorder)), ...(await recordCurl(recorder))];
  } finally {
    await browser.close();
  }
}
