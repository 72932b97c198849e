import { CodedError } from "@lanai/connection/errors";

/** The code of a {@link SameOriginError}. It doesn't change between versions. */
export type SameOriginErrorCode =
  /** A request that may change something came from another site. Status 403. */
  "ERR_SAME_ORIGIN_REFUSED";

/** A refused request. Recognised by its `code`, also between two copies of this package. */
export class SameOriginError extends CodedError<SameOriginErrorCode> {
  override readonly name = "SameOriginError";
}
