import type { Awaitable } from "../store.ts";
import type { Recognised } from "./recognition.ts";
import { ANONYMOUS, type RequestState } from "./request-state.ts";

/** Makes what was found the request's session, and reports a refusal. */
export function settleOn(request: RequestState, found: Recognised): Awaitable<void> {
  if (found.status === "live") {
    request.become(found);
    if (found.reissue) request.sendId();
    if (found.reissue || found.stored.isTouchDue) request.departure?.register();
    return;
  }
  if (found.status === "renewed") {
    request.become(found);
    return;
  }
  if (found.status === "damaged") {
    request.become(found, "refused", { level: "warn", reason: "damaged" });
    return;
  }
  const { refusal, publicId, end } = found;
  if (refusal === undefined) request.become(ANONYMOUS);
  else {
    const { reason, level = "warn" } = refusal;
    const about = publicId === undefined ? {} : { publicId };
    request.become(found, "refused", { level, reason, ...about });
  }
  return end?.();
}
