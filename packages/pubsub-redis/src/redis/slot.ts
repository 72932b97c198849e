/** Returns the slot of a key or a sharded channel on a cluster, by Redis's specification of them. */
export function slotOf(name: string): number {
  const [, tag] = /\{([^}]+)\}/.exec(name.slice(name.indexOf("{"))) ?? [];
  const hashed = name.includes("{") && name[name.indexOf("{") + 1] !== "}" ? (tag ?? name) : name;
  return crc16(Buffer.from(hashed)) % 16_384;
}

/** Returns the CRC16-CCITT (XMODEM). */
function crc16(bytes: Buffer): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) {
      crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
    }
  }
  return crc;
}
