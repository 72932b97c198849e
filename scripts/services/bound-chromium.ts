import { spawnSync } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, type CDPSession, chromium, type Page } from "playwright-core";
import { programPath } from "../servers.js";

export interface Certificate {
  readonly key: string;
  readonly cert: string;
  /** The hash of its key, as Chromium's flag wants it. */
  readonly spki: string;
}

/** A self-signed certificate for localhost. */
export function makeCertificate(): Certificate {
  const folder = mkdtempSync(join(tmpdir(), "certificate-"));
  try {
    const [keyFile, certFile] = [join(folder, "key"), join(folder, "cert")];
    const arguments_ = [
      ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(" "),
      ..."-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1".split(" "),
      ...["-keyout", keyFile, "-out", certFile],
    ];
    const made = spawnSync(programPath("openssl"), arguments_, { encoding: "utf8" });
    if (made.status !== 0) throw new Error(`openssl could not make a certificate: ${made.stderr}`);
    const [key, cert] = [keyFile, certFile].map((it) => readFileSync(it, "utf8")) as [
      string,
      string,
    ];
    const spki = new X509Certificate(cert).publicKey.export({ type: "spki", format: "der" });
    return { key, cert, spki: createHash("sha256").update(spki).digest("base64") };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Which of Chromium's features are on: software keys are for tests alone. */
export const BOUND =
  "DeviceBoundSessions:RefreshQuota/false,EnableBoundSessionCredentialsSoftwareKeysForManualTesting";
export const BOUND_WITH_QUOTA =
  "DeviceBoundSessions,EnableBoundSessionCredentialsSoftwareKeysForManualTesting";

/**
 * Chromium with device-bound sessions, which reaches nothing but loopback. `--ignore-certificate-errors`
 * would turn them off in silence, the hash of one key doesn't.
 *
 * @param features - Default: none, which is a browser without them.
 */
export const startBoundChromium = ({ spki }: Certificate, features?: string): Promise<Browser> =>
  chromium.launch({
    executablePath: programPath("chromium"),
    chromiumSandbox: process.getuid?.() !== 0,
    args: [
      "--disable-background-networking",
      "--no-proxy-server",
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
      `--ignore-certificate-errors-spki-list=${spki}`,
      features === undefined
        ? "--disable-features=DeviceBoundSessions"
        : `--enable-features=${features}`,
    ],
  });

/** An event of Chromium's own about a device-bound session. */
export interface DeviceEvent {
  readonly eventId: string;
  readonly succeeded: boolean;
  readonly sessionId?: string;
  readonly creationEventDetails?: { readonly fetchResult: string };
  readonly refreshEventDetails?: {
    readonly refreshResult: string;
    readonly wasFullyProactiveRefresh: boolean;
  };
  readonly terminationEventDetails?: { readonly deletionReason: string };
  readonly challengeEventDetails?: { readonly challengeResult: string };
}

/** What Chromium says of its device-bound sessions, in order. */
export class DeviceEvents {
  readonly all: DeviceEvent[] = [];
  readonly #waiting = new Set<() => void>();

  static async of(page: Page): Promise<DeviceEvents> {
    const events = new DeviceEvents();
    const cdp: CDPSession = await page.context().newCDPSession(page);
    await cdp.send("Network.enable");
    const raw = cdp as unknown as {
      send(method: string, parameters: object): Promise<unknown>;
      on(event: string, listener: (event: DeviceEvent) => void): void;
    };
    raw.on("Network.deviceBoundSessionEventOccurred", (event) => {
      events.all.push(event);
      for (const look of events.#waiting) look();
    });
    await raw.send("Network.enableDeviceBoundSessions", { enable: true });
    return events;
  }

  /** Resolves with the first event from the `from`-th on that fits. */
  next(fits: (event: DeviceEvent) => boolean, from = 0): Promise<DeviceEvent> {
    return new Promise((resolve) => {
      const look = () => {
        const found = this.all.slice(from).find(fits);
        if (!found) return;
        this.#waiting.delete(look);
        resolve(found);
      };
      this.#waiting.add(look);
      look();
    });
  }
}
