/// <reference lib="dom" />
import type { Line } from "@lanai/browser";
import type { Live } from "../channels.ts";

/** Shows the messages of a demonstration: those of a channel, or those that were sent meanwhile. */
export function showLog(line: Line<Live>, list: HTMLElement): void {
  const { log: id = "" } = list.dataset;
  const show = (text: string) => {
    const item = document.createElement("li");
    item.textContent = text;
    list.append(item);
    item.scrollIntoView({ block: "nearest" });
  };
  line.on("state", (state) => {
    list.className = state === "open" ? "online" : "offline";
  });
  if (id === "") {
    line.on("message", ({ event, data }) => event === "message" && show(String(data)));
    return;
  }
  // show
  line.join("log.:id", { id }, { replay: 10 }).on("message", show);
  // end
}
