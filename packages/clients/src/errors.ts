import { CodedError } from "@lanai/connection/errors";

/** The code of a {@link ClientsError}. Codes don't change between versions; messages may. */
export type ClientsErrorCode =
  /** A live connection without a client cookie, where one is required. Status 401. */
  | "ERR_CLIENTS_UNKNOWN_CLIENT"
  /** `devices(ctx)` of a visitor who isn't signed in. Status 401. */
  | "ERR_CLIENTS_NOT_SIGNED_IN"
  /** The request is no upgrade and can't be an event stream. */
  | "ERR_CLIENTS_NO_TRANSPORT"
  /** A message whose data can't be encoded as JSON. */
  | "ERR_CLIENTS_ENCODE"
  /** The process has `maxPerProcess` listeners. Status 503. */
  | "ERR_CLIENTS_LIMIT"
  /** A call after `close`. Status 503. */
  | "ERR_CLIENTS_CLOSED";

/** A failed operation of clients. Recognised by its `code`, also between two copies of this package. */
export class ClientsError extends CodedError<ClientsErrorCode> {
  override readonly name = "ClientsError";
}
