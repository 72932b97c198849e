/// <reference lib="dom" />
import { connect } from "@lanai/browser";
import type { Live } from "../channels.ts";
import { showLocalTimes } from "./local-times.ts";
import { showLog } from "./log.ts";
import { refresh } from "./refresh.ts";
import { joinRoom } from "./room.ts";

const { body } = document;
const all = (selector: string) => document.querySelectorAll<HTMLElement>(selector);

showLocalTimes(document);

// Buttons of the page around two panes press those in the panes.
for (const button of all("[data-click]")) {
  // Not before the panes are there.
  addEventListener("load", () => {
    button.hidden = false;
  });
  button.addEventListener("click", () => {
    for (const { contentDocument } of document.querySelectorAll("iframe")) {
      contentDocument?.querySelector<HTMLElement>(button.dataset.click ?? "")?.click();
    }
  });
}

for (const form of document.querySelectorAll<HTMLFormElement>("form[data-fetch]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const fields = new URLSearchParams(new FormData(form) as never);
    void fetch(form.action, { method: "POST", body: fields }).catch(() => {});
  });
}

if ("live" in body.dataset) {
  const line = connect<Live>("/live");
  let isLeaving = false;
  addEventListener("submit", (event) => {
    isLeaving = !event.defaultPrevented;
  });
  line.on("state", (state) => {
    // A tab that signs out by itself is on its way to the next page already.
    if (state !== "ended" || isLeaving || line.error?.code !== "ERR_SIGNED_OUT") return;
    location.replace(body.dataset.ended ?? "/sign-in?ended");
  });
  line.on("message", ({ event }) => void refresh(event).catch(() => {}));
  const list = document.querySelector<HTMLElement>("[data-room]");
  if (list) joinRoom(line, list);
  for (const log of all("[data-log]")) showLog(line, log);
}
