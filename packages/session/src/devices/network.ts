import { isIP } from "node:net";

/**
 * Returns the network of an IP address: the first 24 bits of an IPv4 address, also of one that is mapped
 * into IPv6 (RFC 4291, 2.5.5.2), and the first 48 of an IPv6 address, which a provider gives to one site
 * (RFC 6177). Written as RFC 5952 and RFC 4632 say, such as `192.0.2.0/24` and `2001:db8:1::/48`.
 *
 * @returns `undefined` for what is no IP address.
 */
export function networkOf(address: string): string | undefined {
  const plain = plainAddress(address);
  if (plain === undefined) return undefined;
  if (isIP(plain) === 4) return `${plain.split(".").slice(0, 3).join(".")}.0/24`;
  const [head = "", tail] = plain.split("::");
  const groups = head === "" ? [] : head.split(":");
  const missing =
    tail === undefined ? 0 : 8 - groups.length - tail.split(":").filter(Boolean).length;
  const all = [...groups, ...Array<string>(missing).fill("0"), ...(tail ?? "").split(":")];
  return `${canonical(`${all.slice(0, 3).join(":")}::`)}/48`;
}

/**
 * Returns an IP address in its canonical form, without a zone; one that is mapped into IPv6 as IPv4.
 *
 * @returns `undefined` for what is no IP address.
 */
export function plainAddress(address: string): string | undefined {
  const [bare = ""] = address.split("%");
  if (isIP(bare) === 4) return bare;
  if (isIP(bare) !== 6) return undefined;
  const text = canonical(bare);
  const [, high, low] = /^::ffff:([\da-f]{1,4}):([\da-f]{1,4})$/.exec(text) ?? [];
  if (high === undefined || low === undefined) return text;
  return [high, low]
    .map((it) => Number.parseInt(it, 16))
    .flatMap((it) => [it >> 8, it & 255])
    .join(".");
}

/** The URL parser writes an IPv6 address as RFC 5952 does. */
const canonical = (address: string): string => new URL(`http://[${address}]`).hostname.slice(1, -1);
