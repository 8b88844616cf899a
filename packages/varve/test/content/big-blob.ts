/** A blob of 2.5 MB whose bytes depend on `seed` alone. */
export function bigBlob(seed: number): Buffer {
  const data = Buffer.alloc(2_500_000);
  let value = seed * 7919 + 1;
  for (let at = 0; at < data.length; at += 4) {
    value = (Math.imul(value, 1_103_515_245) + 12_345) >>> 0;
    data.writeUInt32LE(value, at);
  }
  return data;
}
