/// <reference lib="dom" />
import { showLocalTimes } from "./local-times.ts";

const FOCUSABLE = "a, button, input";

/** Shows anew each part of the page that waits for an event: `data-refresh` names that. */
export async function refresh(event: string): Promise<void> {
  for (const part of document.querySelectorAll<HTMLElement>(`[data-refresh="${event}"]`)) {
    const response = await fetch(part.dataset.from ?? location.href);
    if (!response.ok || response.redirected) continue;
    const next = new DOMParser().parseFromString(await response.text(), "text/html");
    const same = next.querySelector<HTMLElement>(`[data-refresh="${event}"]`);
    const source = same ?? next.body;
    showLocalTimes(source);
    if (source.innerHTML.trim() === part.innerHTML.trim()) continue;
    // Whoever uses the keyboard stays where they are, and keeps what they have typed.
    const { activeElement } = document;
    const focused = part.contains(activeElement) ? keyOf(activeElement) : undefined;
    for (const input of part.querySelectorAll("input"))
      if (input.value !== input.defaultValue) find(source, keyOf(input))?.replaceWith(input);
    part.replaceChildren(...source.childNodes);
    if (focused !== undefined) find(part, focused)?.focus();
  }
}

/** Returns the identity of a link or a control in both versions of a part: the order may differ. */
function keyOf(element: Element | null): string {
  const form = element?.closest("form");
  const { value } = form?.querySelector<HTMLInputElement>("[type=hidden]") ?? {};
  const attributes = ["href", "name"].map((name) => element?.getAttribute(name));
  return [element?.tagName, ...attributes, form?.getAttribute("action"), value].join("\n");
}

const find = (root: HTMLElement, key: string): HTMLElement | undefined =>
  [...root.querySelectorAll<HTMLElement>(FOCUSABLE)].find((it) => keyOf(it) === key);
