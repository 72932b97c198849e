import { impersonatorOf, signInFirst } from "../request/acting.ts";
import { USER } from "../request/draft.ts";
import { impersonatedError } from "../request/impersonation.ts";
import type { RequestState } from "../request/request-state.ts";
import { isUserId } from "../request/user.ts";
import { DEVICE, deviceOf, LABEL, labelOf } from "./device.ts";

/** Has the session of a request that signs in remember the request's device, in place of the former one. */
export function setDevice({ ctx, draft, record, settings }: RequestState): void {
  if (ctx === undefined || settings.devices === undefined) return;
  const device = deviceOf(ctx, settings.devices);
  if (device) draft.set(DEVICE, device);
  else if (draft.has(DEVICE, record)) draft.delete(DEVICE);
}

/** Sets the user's label of the device. */
export function setLabel(request: RequestState, label: string): void {
  const { draft, record } = request;
  const text = labelOf(label);
  if (impersonatorOf(request)) throw impersonatedError();
  if (!isUserId(draft.read(USER, record))) throw signInFirst(request);
  if (text !== "") draft.set(LABEL, text);
  else if (draft.has(LABEL, record)) draft.delete(LABEL);
}
