/// <reference lib="dom" />
import type { Line } from "@lanai/browser";
import type { Live, Post } from "../channels.ts";
import { localTime } from "./local-times.ts";

const DAY = 24 * 60 * 60 * 1000;
const TYPING = 3_000;
/** After these the same message may be sent again: its id lets the server store it once. */
const AGAIN = ["ERR_OUTCOME_UNKNOWN", "ERR_TIMEOUT", "ERR_CALL_FAILED"];

/** Joins the room of a page: what is said, who is here, who types, and what was written offline. */
export function joinRoom(line: Line<Live>, list: HTMLElement): void {
  const { room: id = "", user = "" } = list.dataset;
  const form = document.querySelector<HTMLFormElement>("form.post");
  const state = document.querySelector("[data-state]");
  const here = document.querySelector("[data-here]");
  if (!form || !state || !here) return;
  const room = line.join("room.:id", { id }, { replay: 100 });
  const items = new Map<string, HTMLElement>();
  for (const item of list.querySelectorAll<HTMLElement>("[data-id]"))
    items.set(item.dataset.id ?? "", item);
  const toEnd = () => list.scrollTo(0, list.scrollHeight);
  toEnd();

  const itemOf = ({ from, text }: Pick<Post, "from" | "text">, when: string): HTMLElement => {
    const item = document.createElement("li");
    const name = document.createElement("strong");
    const time = document.createElement("time");
    const said = document.createElement("p");
    name.textContent = from;
    time.textContent = when;
    said.textContent = text;
    item.className = from === user ? "own" : "";
    item.append(name, " ", time, said);
    return item;
  };

  room.on("post", (post) => {
    const shown = items.get(post.id);
    if (shown && !shown.classList.contains("waiting")) return;
    shown?.remove();
    const item = itemOf(post, localTime(new Date(post.time)));
    items.set(post.id, item);
    // What waits to be sent stays below what was said.
    const waiting = list.querySelector(".waiting");
    list.insertBefore(item, waiting);
    say("");
    toEnd();
    tellSeen(post.time);
  });

  let seen = 0;
  let isResting = false;
  /** Reports to the server what this tab has shown: at once, then at most twice a second. */
  const tellSeen = (time: number) => {
    seen = Math.max(seen, time);
    if (document.hidden || isResting) return;
    isResting = true;
    const told = seen;
    const body = new URLSearchParams({ time: String(told) });
    void fetch(`${location.pathname}/seen`, { method: "POST", body }).catch(() => {});
    setTimeout(() => {
      isResting = false;
      if (seen > told) tellSeen(seen);
    }, 500);
  };

  room.on("members", (members) => {
    // All tabs of one person are one member.
    const names = members.map(({ data }) => data.name);
    here.textContent = names.sort().join(", ");
    here.parentElement?.toggleAttribute("hidden", members.length === 0);
  });
  room.on("gap", () => say("Some messages are missing here: load the page again."));

  let quiet: ReturnType<typeof setTimeout>;
  const say = (text: string, during = 0) => {
    clearTimeout(quiet);
    state.textContent = text;
    if (during > 0) quiet = setTimeout(() => say(""), during);
  };
  room.on("typing", ({ name }) => name !== user && say(`${name} is typing…`, TYPING));

  const offline = () => {
    const count = list.querySelectorAll(".waiting").length;
    say(
      `Offline. ${count > 0 ? `${count} to be sent` : "What you write is sent"} when you are back.`,
    );
  };
  line.on("state", (now) => (now === "open" ? say("") : offline()));

  /** Sends a message until it is known to be stored or refused. */
  const send = async (draft: { id: string; text: string }, item: HTMLElement): Promise<void> => {
    try {
      // While there is no connection the call waits for it.
      await room.call("say", draft, { timeout: DAY });
      item.classList.remove("waiting");
    } catch (error) {
      const { code = "" } = error as { code?: string };
      if (!AGAIN.includes(code)) return refuse(item);
      setTimeout(() => void send(draft, item), 1_000);
    }
  };
  const refuse = (item: HTMLElement) => {
    item.className = "refused";
    say("The last message was not sent.");
  };

  const field = form.elements.namedItem("text") as HTMLInputElement;
  const hidden = form.elements.namedItem("id") as HTMLInputElement;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const draft = { id: hidden.value, text: field.value };
    const item = itemOf({ from: user, text: draft.text }, "sending…");
    item.className = "own waiting";
    items.set(`${user}.${draft.id}`, item);
    list.append(item);
    toEnd();
    void send(draft, item);
    if (line.state !== "open") offline();
    hidden.value = [...crypto.getRandomValues(new Uint32Array(4))].join("-");
    field.value = "";
    field.focus();
  });

  let told = 0;
  field.addEventListener("input", () => {
    if (Date.now() - told < 1_000 || line.state !== "open") return;
    told = Date.now();
    room.call("typing", null).catch(() => {});
  });
}
