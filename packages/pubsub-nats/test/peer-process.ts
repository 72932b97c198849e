// Another process on the same server: does what its parent says, and tells what it hears.
import { textOf } from "@lanai/pubsub/backend";
import { natsPubSub } from "@lanai/pubsub-nats";
import { connectTo } from "./servers.ts";

/** What the parent may ask. */
export type Order =
  | { readonly do: "publish"; readonly subject: string; readonly texts: readonly string[] }
  | { readonly do: "subscribe"; readonly subject: string; readonly since?: string };

export type Report =
  | { readonly is: "done" }
  | { readonly is: "heard"; readonly text: string; readonly id: string | undefined };

const backend = natsPubSub(await connectTo({ port: Number(process.argv[2]) }));
const tell = (report: Report) => process.send?.(report);

const obey = async (order: Order) => {
  if (order.do === "publish") {
    for (const text of order.texts) await backend.publish(order.subject, text);
  } else {
    const { subject, since } = order;
    const handler = ({ data, id }: { data: Uint8Array | string; id: string | undefined }) =>
      tell({ is: "heard", text: textOf(data), id });
    await backend.subscribe(subject, handler, { since });
  }
  tell({ is: "done" });
};
process.on("message", (order: Order) => void obey(order));
tell({ is: "done" });
