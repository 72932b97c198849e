import { headers, type Msg, type MsgHdrs } from "@nats-io/transport-node";

/** JetStream's header: a stream stores one message of an id within its duplicate window. */
const MESSAGE_ID = "Nats-Msg-Id";
/** The publish, where the app has chosen the message's id. */
const PUBLISH = "Lanai-Publish";
/** The message may have been delivered before. */
const REPEAT = "Lanai-Repeat";

/** The identity of a publish: its publisher, and its number. The numbers of one publisher grow. */
export interface PublishId {
  readonly publisher: string;
  readonly number: number;
  readonly isRepeat: boolean;
}

export function headersOf(
  { publisher, number, isRepeat }: PublishId,
  messageId: string | undefined,
): MsgHdrs {
  const id = `${publisher}.${number}`;
  const made = headers();
  made.set(MESSAGE_ID, messageId ?? id);
  if (messageId !== undefined) made.set(PUBLISH, id);
  if (isRepeat) made.set(REPEAT, "1");
  return made;
}

/** `undefined` for a message that no publisher of this package sent to a stream. */
export function publishOf({ headers }: Msg): PublishId | undefined {
  if (headers === undefined) return undefined;
  const id = headers.get(PUBLISH) || headers.get(MESSAGE_ID);
  const dot = id.lastIndexOf(".");
  const digits = id.slice(dot + 1);
  if (dot < 1 || id.length > 256 || !/^[1-9]\d{0,14}$/.test(digits)) return undefined;
  return { publisher: id.slice(0, dot), number: Number(digits), isRepeat: headers.has(REPEAT) };
}
