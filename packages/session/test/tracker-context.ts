import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import type { AdmissionContext, SessionRecord } from "@lanai/session/tracker";
import Koa, { type ExtendableContext } from "koa";

export interface RequestParts {
  readonly url?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The connection is TLS. */
  readonly encrypted?: boolean;
  /** The app trusts its proxy. */
  readonly proxy?: boolean;
}

/** A context without a connection: what a tracker reads of a request, and what it wrote. */
export function contextOf(parts: RequestParts): ExtendableContext {
  const { url = "/", headers = {}, encrypted = false, proxy = false } = parts;
  const req = new IncomingMessage(Object.assign(new Socket(), { encrypted }));
  req.url = url;
  Object.assign(req.headers, headers);
  return new Koa({ proxy }).createContext(req, new ServerResponse(req));
}

export function recordOf(): SessionRecord {
  return {
    publicId: "public",
    values: new Map(),
    owners: new Set(),
    createdAt: 0,
    startedAt: 0,
    seenAt: 0,
    idle: 60_000,
    absolute: 600_000,
  };
}

/** In a store whose clock began with the record. */
export const found: AdmissionContext = { now: 0, carriesData: false };
