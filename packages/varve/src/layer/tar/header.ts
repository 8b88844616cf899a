import type { TimeSpec } from '../../linux/index.ts';
import type { TarEntryType } from './entry.ts';
import { parseNumber } from './numbers.ts';

/** The fields of one 512-byte header block, before extended headers change them. */
export interface RawHeader {
  readonly typeFlag: number;
  readonly name: Buffer;
  readonly linkName: Buffer;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly userName: Buffer;
  readonly groupName: Buffer;
  readonly size: number;
  readonly mtime: TimeSpec;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
}

/** Type flags of POSIX, GNU and Sun tar that the codec treats apart. */
export const typeFlags = {
  file: 0x30, // 0
  oldFile: 0, // NUL, before POSIX
  hardlink: 0x31,
  symlink: 0x32,
  characterDevice: 0x33,
  blockDevice: 0x34,
  directory: 0x35,
  fifo: 0x36,
  contiguous: 0x37,
  pax: 0x78, // x
  sunPax: 0x58, // X
  globalPax: 0x67, // g
  gnuLongName: 0x4c, // L
  gnuLongLink: 0x4b, // K
  gnuSparse: 0x53, // S
  gnuVolume: 0x56, // V
} as const;

const types = new Map<number, TarEntryType>([
  [typeFlags.file, 'file'],
  [typeFlags.oldFile, 'file'],
  [typeFlags.contiguous, 'file'],
  [typeFlags.gnuSparse, 'file'],
  [typeFlags.hardlink, 'hardlink'],
  [typeFlags.symlink, 'symlink'],
  [typeFlags.characterDevice, 'character-device'],
  [typeFlags.blockDevice, 'block-device'],
  [typeFlags.directory, 'directory'],
  [typeFlags.fifo, 'fifo'],
]);

/** What an entry is; a file whose name ends with a slash is a folder, as tars before POSIX wrote them. */
export function entryType(typeFlag: number, name: Buffer): TarEntryType {
  const type = types.get(typeFlag) ?? 'other';
  return type === 'file' && typeFlag !== typeFlags.gnuSparse && name.at(-1) === 0x2f ? 'directory' : type;
}

function text(block: Buffer, offset: number, length: number): Buffer {
  const field = block.subarray(offset, offset + length);
  const end = field.indexOf(0);
  return Buffer.from(end < 0 ? field : field.subarray(0, end));
}

const empty = Buffer.alloc(0);
const slash = Buffer.from('/');

/** `ustar` NUL: POSIX. GNU tar writes `ustar` and two spaces, and has other things where POSIX has the prefix. */
function isPosix(block: Buffer): boolean {
  return block.toString('latin1', 257, 263) === 'ustar\0';
}

/** True for an end-of-archive block. */
export function isZeroBlock(block: Buffer): boolean {
  if (block[0] !== 0) return false;
  for (let i = 1; i < block.length; i++) if (block[i] !== 0) return false;
  return true;
}

/** Reads a header block whose checksum has been checked. @throws VarveError TAR_BAD_HEADER. */
export function parseHeader(block: Buffer): RawHeader {
  const ustar = block.toString('latin1', 257, 262) === 'ustar';
  let name = text(block, 0, 100);
  if (isPosix(block) && block[345] !== 0) {
    // The star variant ends its shorter prefix before two times and marks itself at the block's end.
    const prefix = text(block, 345, block.toString('latin1', 508, 512) === 'tar\0' ? 131 : 155);
    name = Buffer.concat([prefix, slash, name]);
  }
  return {
    typeFlag: block[156] as number,
    name,
    linkName: text(block, 157, 100),
    mode: parseNumber(block, 100, 8, 'mode') & 0o7777,
    uid: parseNumber(block, 108, 8, 'uid'),
    gid: parseNumber(block, 116, 8, 'gid'),
    userName: ustar ? text(block, 265, 32) : empty,
    groupName: ustar ? text(block, 297, 32) : empty,
    size: parseNumber(block, 124, 12, 'size'),
    mtime: { seconds: parseNumber(block, 136, 12, 'mtime'), nanoseconds: 0 },
    deviceMajor: ustar ? parseNumber(block, 329, 8, 'device number') : 0,
    deviceMinor: ustar ? parseNumber(block, 337, 8, 'device number') : 0,
  };
}
