// The names of the DOM that Playwright's types mention. All of its library would make `window` and the
// rest pass for things that there are in Node.
interface Node {
  readonly nodeName: string;
}
interface HTMLElement extends Node {}
interface SVGElement extends Node {}
interface HTMLElementTagNameMap {
  readonly [name: string]: HTMLElement;
}
