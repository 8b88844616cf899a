import { layerError } from '../errors.ts';

/** Octal digits between spaces and NULs; none at all is zero, anything else undefined. What follows a NUL is ignored. */
function octal(block: Buffer, offset: number, length: number): number | undefined {
  let start = offset;
  let end = offset + length;
  while (start < end && (block[start] === 0x20 || block[start] === 0)) start++;
  while (end > start && (block[end - 1] === 0x20 || block[end - 1] === 0)) end--;
  let value = 0;
  for (let i = start; i < end; i++) {
    if (block[i] === 0) break;
    const digit = (block[i] as number) - 0x30;
    if (digit < 0 || digit > 7) return undefined;
    value = value * 8 + digit;
  }
  return value;
}

/**
 * A number of a tar header: octal, or base-256 (two's complement, top bit set) as GNU tar writes large and negative ones.
 * @throws VarveError TAR_BAD_HEADER when it is neither, or beyond 2^53.
 */
export function parseNumber(block: Buffer, offset: number, length: number, what: string): number {
  const lead = block[offset] as number;
  if ((lead & 0x80) === 0) {
    const value = octal(block, offset, length);
    if (value === undefined)
      throw layerError('TAR_BAD_HEADER', `bad octal number in the tar header’s ${what}`);
    return value;
  }
  const negative = (lead & 0x40) !== 0;
  let value = BigInt(negative ? (lead & 0x7f) | ~0x7f : lead & 0x7f);
  for (let i = offset + 1; i < offset + length; i++) value = value * 256n + BigInt(block[i] as number);
  const number = Number(value);
  if (!Number.isSafeInteger(number))
    throw layerError('TAR_BAD_HEADER', `the tar header’s ${what} is out of range`);
  return number;
}

/** Writes octal digits and a NUL. The caller has checked that it {@link fitsOctal}. */
export function writeOctal(block: Buffer, offset: number, length: number, value: number): void {
  block.write(value.toString(8).padStart(length - 1, '0'), offset, 'latin1');
  block[offset + length - 1] = 0;
}

/** True when the value fits a field of `length` bytes that ends with a NUL. */
export function fitsOctal(value: number, length: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < 8 ** (length - 1);
}

/** True when the checksum field holds the sum of the header's bytes, unsigned, or signed as old tars computed it. */
export function checksumMatches(block: Buffer): boolean {
  const stored = octal(block, 148, 8);
  let unsigned = 8 * 0x20;
  for (let i = 0; i < 148; i++) unsigned += block[i] as number;
  for (let i = 156; i < 512; i++) unsigned += block[i] as number;
  if (stored === unsigned) return true;
  let signed = 8 * 0x20;
  for (let i = 0; i < 512; i++) if (i < 148 || i >= 156) signed += ((block[i] as number) << 24) >> 24;
  return stored === signed;
}

/** Fills in the checksum: six octal digits, NUL, space. */
export function writeChecksum(block: Buffer): void {
  block.fill(0x20, 148, 156);
  let sum = 0;
  for (let i = 0; i < 512; i++) sum += block[i] as number;
  block.write(sum.toString(8).padStart(6, '0'), 148, 'latin1');
  block[154] = 0;
}
