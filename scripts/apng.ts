import { crc32 } from "node:zlib";

/** A picture of an animation: a PNG, and for how long it is shown, in milliseconds. */
export interface Frame {
  readonly png: Buffer;
  readonly duration: number;
}

const SIGNATURE = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);

const chunk = (type: string, data: Buffer): Buffer => {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
};

/** The chunks of a PNG. */
function* chunksOf(png: Buffer): Generator<{ type: string; data: Buffer }> {
  for (let at = SIGNATURE.length; at < png.length; ) {
    const length = png.readUInt32BE(at);
    const type = png.toString("latin1", at + 4, at + 8);
    yield { type, data: png.subarray(at + 8, at + 8 + length) };
    at += length + 12;
  }
}

const numbers = (...values: number[]): Buffer => {
  const data = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) data.writeUInt32BE(value, i * 4);
  return data;
};

/**
 * Makes an animation, which is repeated for ever, of PNGs of one size and colour type (PNG
 * Specification, third edition, section 11.3.6).
 */
export function animate(frames: readonly Frame[]): Buffer {
  const parsed = frames.map(({ png }) => [...chunksOf(png)]);
  const headers = parsed.map((it) => it.find(({ type }) => type === "IHDR")?.data ?? Buffer.of());
  const [header = Buffer.of()] = headers;
  if (!headers.every((it) => it.length === 13 && it.equals(header))) {
    throw new TypeError("animate: all frames must be PNGs of one size and colour type");
  }
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const parts = [SIGNATURE, chunk("IHDR", header), chunk("acTL", numbers(frames.length, 0))];
  let sequence = 0;
  for (const [i, chunks] of parsed.entries()) {
    const control = Buffer.alloc(6);
    control.writeUInt16BE(frames[i]?.duration ?? 0);
    control.writeUInt16BE(1_000, 2);
    const place = numbers(sequence++, width, height, 0, 0);
    parts.push(chunk("fcTL", Buffer.concat([place, control])));
    for (const { type, data } of chunks) {
      if (type !== "IDAT") continue;
      if (i === 0) parts.push(chunk("IDAT", data));
      else parts.push(chunk("fdAT", Buffer.concat([numbers(sequence++), data])));
    }
  }
  parts.push(chunk("IEND", Buffer.of()));
  return Buffer.concat(parts);
}
