import type { DevicesPageView, ListedDevice } from "./devices-view.ts";

type View = Omit<DevicesPageView, "html">;

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** HTML whose parts are safe already. */
class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Part = string | number | Html | readonly Html[] | undefined;

/** Escapes whatever is put into it, HTML of its own excepted. */
const html = (texts: TemplateStringsArray, ...parts: readonly Part[]): Html =>
  new Html(texts.map((text, index) => text + safe(parts[index])).join(""));

function safe(part: Part): string {
  if (part === undefined) return "";
  if (part instanceof Html) return part.text;
  if (typeof part === "object") return part.map((it) => it.text).join("");
  return String(part).replace(/[&<>"']/g, (it) => ESCAPES[it] ?? "");
}

/** Returns the list with its forms. */
export function htmlOf({ devices, error, actions }: View): string {
  return html`<section class="devices">
<h1>Your devices</h1>
${error === undefined ? undefined : html`<p class="devices-error" role="alert">${error}</p>\n`}<ul>
${devices.map((it) => itemOf(it, actions))}</ul>
<form method="post" action="${actions["end-others"]}"><button>Sign out all other devices</button></form>
<form method="post" action="${actions["end-all"]}"><button>Sign out everywhere</button></form>
</section>
`.text;
}

function itemOf(device: ListedDevice, actions: View["actions"]): Html {
  const { browser, label, address, isBound, impersonator, isCurrent, listeners = 0 } = device;
  const name = label ?? browser ?? "Unknown device";
  const facts: (Html | undefined)[] = [
    isCurrent ? html`<li class="device-current">This device</li>` : undefined,
    impersonator && html`<li class="device-impersonated">An administrator acts for you</li>`,
    listeners > 0 ? html`<li class="device-live">Connected now</li>` : undefined,
    label !== undefined && browser !== undefined
      ? html`<li class="device-browser">${browser}</li>`
      : undefined,
    address === undefined ? undefined : html`<li class="device-address">From ${address}</li>`,
    isBound ? html`<li class="device-bound">Can't be copied to another device</li>` : undefined,
    html`<li>Since ${timeOf(device.createdAt)}</li>`,
    html`<li>Last used ${timeOf(device.seenAt)}</li>`,
  ];
  return html`<li class="device">
<h2>${name}</h2>
<ul>${facts.filter((it) => it !== undefined)}</ul>
${labelForm(device, name, actions)}<form method="post" action="${actions.end}"><input type="hidden" name="device" value="${device.publicId}"><button aria-label="Sign out ${name}">Sign out</button></form>
</li>
`;
}

const labelForm = (
  { publicId, label, isCurrent }: ListedDevice,
  name: string,
  actions: View["actions"],
): Html =>
  html`<form method="post" action="${actions.label}"><input type="hidden" name="device" value="${publicId}"><label>${isCurrent ? "Name of this device" : `Name of ${name}`} <input name="label" value="${label}" maxlength="64" autocomplete="off"></label> <button>Save</button></form>\n`;

function timeOf(date: Date): Html {
  const iso = date.toISOString();
  return html`<time datetime="${iso}">${iso.slice(0, 16).replace("T", " ")} UTC</time>`;
}

/** Returns a plain document around the list. */
export const pageOf = (list: string): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Your devices</title>
<main>
${list}</main>
</html>
`;
