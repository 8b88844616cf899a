import { layerError } from '../errors.ts';
import { blockSize, paddingAfter, type SparseRegion, type TarEntryType, type TarMetadata } from './entry.ts';
import { typeFlags } from './header.ts';
import { fitsOctal, writeChecksum, writeOctal } from './numbers.ts';
import { encodePaxRecord, formatPaxTime } from './pax.ts';

/*
 * The one form this project writes, so that equal trees give equal digests: a plain ustar header when everything fits
 * it, else a pax header before it with only what does not fit, records sorted by key. No user names, no atime or ctime
 * unless asked for, device numbers zero where they mean nothing. Folders end with a slash.
 */

const flags: Readonly<Record<Exclude<TarEntryType, 'other'>, number>> = {
  file: typeFlags.file,
  hardlink: typeFlags.hardlink,
  symlink: typeFlags.symlink,
  'character-device': typeFlags.characterDevice,
  'block-device': typeFlags.blockDevice,
  directory: typeFlags.directory,
  fifo: typeFlags.fifo,
};

interface SplitName {
  readonly prefix: Buffer;
  readonly name: Buffer;
}

const none: Buffer = Buffer.alloc(0);

/** Splits a name over ustar's two fields at the last slash that fits; undefined when none does. */
function splitName(name: Buffer): SplitName | undefined {
  if (name.length <= 100) return { prefix: none, name };
  if (name.length > 256) return undefined;
  // The slash that ends a folder's name separates nothing.
  for (
    let at = name.lastIndexOf(0x2f, Math.min(155, name.length - 2));
    at > 0;
    at = name.lastIndexOf(0x2f, at - 1)
  ) {
    if (name.length - at - 1 <= 100) return { prefix: name.subarray(0, at), name: name.subarray(at + 1) };
    return undefined;
  }
  return undefined;
}

/** Name of the pax header's own entry, seen only by tars that do not know pax. */
function paxHeaderName(name: Buffer): Buffer {
  const trimmed = name.at(-1) === 0x2f ? name.subarray(0, -1) : name;
  const base = trimmed.subarray(trimmed.lastIndexOf(0x2f) + 1);
  return Buffer.concat([Buffer.from('PaxHeaders.0/'), base.subarray(0, 80)]);
}

interface UstarFields {
  readonly flag: number;
  readonly name: SplitName;
  readonly linkName: Buffer;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: number;
  readonly userName: Buffer;
  readonly groupName: Buffer;
  readonly major: number;
  readonly minor: number;
}

function ustarBlock(fields: UstarFields): Buffer {
  const block = Buffer.alloc(blockSize);
  fields.name.name.copy(block, 0);
  writeOctal(block, 100, 8, fields.mode);
  writeOctal(block, 108, 8, fields.uid);
  writeOctal(block, 116, 8, fields.gid);
  writeOctal(block, 124, 12, fields.size);
  writeOctal(block, 136, 12, fields.mtime);
  block[156] = fields.flag;
  fields.linkName.copy(block, 157);
  block.write('ustar\x0000', 257, 'latin1');
  fields.userName.copy(block, 265);
  fields.groupName.copy(block, 297);
  writeOctal(block, 329, 8, fields.major);
  writeOctal(block, 337, 8, fields.minor);
  fields.name.prefix.copy(block, 345);
  writeChecksum(block);
  return block;
}

function pad(data: Buffer): Buffer {
  const padding = paddingAfter(data.length);
  return padding === 0 ? data : Buffer.concat([data, Buffer.alloc(padding)]);
}

/** What a number field holds when a pax record has the value. */
function octalOr(value: number, length: number, key: string, pax: Map<string, Buffer>): number {
  if (fitsOctal(value, length)) return value;
  pax.set(key, Buffer.from(String(value)));
  return 0;
}

/** `x=1` style attribute names would end the record's key too early; the form has no escape. */
function addXattrs(metadata: TarMetadata, pax: Map<string, Buffer>): void {
  for (const { name, value } of metadata.xattrs) {
    if (name.includes(0x3d) || name.includes(0)) {
      throw layerError('TAR_BAD_NAME', 'an attribute’s name that tar cannot hold', name);
    }
    pax.set(`SCHILY.xattr.${name.toString('latin1')}`, value);
  }
}

/**
 * The header blocks of an entry; its content, {@link paddingAfter} it, follows. With `sparse`, the pieces that follow the
 * header are those (GNU.sparse 1.0) after the map, which is part of the result.
 * @throws VarveError TAR_BAD_NAME, TAR_UNSUPPORTED_TYPE.
 */
export function encodeHeader(metadata: TarMetadata, sparse?: readonly SparseRegion[]): Buffer {
  if (metadata.type === 'other')
    throw layerError('TAR_UNSUPPORTED_TYPE', 'cannot write this kind of entry', metadata.name);
  const pax = new Map<string, Buffer>();
  let name = metadata.name;
  if (metadata.type === 'directory' && name.at(-1) !== 0x2f) name = Buffer.concat([name, Buffer.from('/')]);
  if (name.length === 0 || name.includes(0) || metadata.linkName.includes(0)) {
    throw layerError('TAR_BAD_NAME', 'a name that tar cannot hold', metadata.name);
  }
  const hasContent = metadata.type === 'file';
  let map: Buffer = none;
  let size = hasContent ? metadata.size : 0;
  if (sparse && hasContent) {
    map = sparseMap(sparse, metadata.size);
    size = map.length + sparse.reduce((sum, region) => sum + region.size, 0);
    pax.set('GNU.sparse.major', Buffer.from('1'));
    pax.set('GNU.sparse.minor', Buffer.from('0'));
    pax.set('GNU.sparse.name', name);
    pax.set('GNU.sparse.realsize', Buffer.from(String(metadata.size)));
  }
  let split = splitName(name);
  if (!split) {
    pax.set('path', name);
    split = { prefix: none, name: name.subarray(0, 100) };
  }
  if (metadata.linkName.length > 100) pax.set('linkpath', metadata.linkName);
  const { seconds, nanoseconds } = metadata.mtime;
  if (nanoseconds !== 0 || !fitsOctal(seconds, 12))
    pax.set('mtime', Buffer.from(formatPaxTime(metadata.mtime)));
  if (metadata.atime) pax.set('atime', Buffer.from(formatPaxTime(metadata.atime)));
  if (metadata.ctime) pax.set('ctime', Buffer.from(formatPaxTime(metadata.ctime)));
  if (metadata.userName.length > 31) pax.set('uname', metadata.userName);
  if (metadata.groupName.length > 31) pax.set('gname', metadata.groupName);
  addXattrs(metadata, pax);
  const device = metadata.type === 'character-device' || metadata.type === 'block-device';
  if (device && !(fitsOctal(metadata.deviceMajor, 8) && fitsOctal(metadata.deviceMinor, 8))) {
    throw layerError('TAR_BAD_NAME', 'a device number that tar cannot hold', metadata.name);
  }
  const block = ustarBlock({
    flag: flags[metadata.type],
    name: split,
    linkName: metadata.linkName.subarray(0, 100),
    mode: metadata.mode & 0o7777,
    uid: octalOr(metadata.uid, 8, 'uid', pax),
    gid: octalOr(metadata.gid, 8, 'gid', pax),
    size: octalOr(size, 12, 'size', pax),
    mtime: fitsOctal(seconds, 12) ? seconds : 0,
    userName: metadata.userName.subarray(0, 31),
    groupName: metadata.groupName.subarray(0, 31),
    major: device ? metadata.deviceMajor : 0,
    minor: device ? metadata.deviceMinor : 0,
  });
  return Buffer.concat([paxBlocks(name, pax), block, map]);
}

function paxBlocks(name: Buffer, records: ReadonlyMap<string, Buffer>): Buffer {
  if (records.size === 0) return none;
  const sorted = [...records].sort(([a], [b]) => (a < b ? -1 : 1));
  const data = Buffer.concat(sorted.map(([key, value]) => encodePaxRecord(key, value)));
  const header = ustarBlock({
    flag: typeFlags.pax,
    name: { prefix: none, name: paxHeaderName(name) },
    linkName: none,
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: data.length,
    mtime: 0,
    userName: none,
    groupName: none,
    major: 0,
    minor: 0,
  });
  return Buffer.concat([header, pad(data)]);
}

/** GNU tar takes the file to end with the last piece, so an empty one closes a map that ends before the file. */
function sparseMap(regions: readonly SparseRegion[], fileSize: number): Buffer {
  const last = regions.at(-1);
  const closed =
    last && last.offset + last.size === fileSize ? regions : [...regions, { offset: fileSize, size: 0 }];
  const lines = [closed.length, ...closed.flatMap(({ offset, size }) => [offset, size])];
  return pad(Buffer.from(`${lines.join('\n')}\n`, 'latin1'));
}

/** The end of an archive: two zero blocks (POSIX). No padding to a record: it would only cost bytes. */
export function encodeEnd(): Buffer {
  return Buffer.alloc(2 * blockSize);
}
