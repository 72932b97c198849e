// Another process on the same Redis: does what its parent says, and tells what it hears.
import { textOf } from "@lanai/pubsub/backend";
import { openBackend } from "./fixture.ts";

/** What the parent may ask. */
export type Order =
  | { readonly do: "publish"; readonly subject: string; readonly texts: readonly string[] }
  | { readonly do: "subscribe"; readonly subject: string; readonly since?: string };

export type Report =
  | { readonly is: "done" }
  | { readonly is: "heard"; readonly text: string; readonly id: string | undefined };

const { backend } = openBackend(Number(process.argv[2]));
const tell = (report: Report) => process.send?.(report);

const obey = async (order: Order) => {
  if (order.do === "publish") {
    for (const text of order.texts) await backend.publish(order.subject, text);
  } else {
    const { subject, since } = order;
    await backend.subscribe(
      subject,
      ({ data, id }) => tell({ is: "heard", text: textOf(data), id }),
      { since },
    );
  }
  tell({ is: "done" });
};
process.on("message", (order: Order) => void obey(order));
tell({ is: "done" });
