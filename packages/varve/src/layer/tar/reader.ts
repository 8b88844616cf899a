import { layerError } from '../errors.ts';
import { blockSize, paddingAfter, type SparseRegion, type TarEntry } from './entry.ts';
import { type Extended, ExtendedHeaders } from './extended.ts';
import { entryType, isZeroBlock, parseHeader, type RawHeader, typeFlags } from './header.ts';
import { checksumMatches, parseNumber } from './numbers.ts';
import { checkSparseMap, readOldSparse, regionsOf, SparseMapReader } from './sparse.ts';

/** What a {@link TarReader} calls, in the archive's order and inside `feed`. What it is given may be kept, `data`'s slices not. */
export interface TarHandler {
  entry(entry: TarEntry): void;
  /** A piece of the current entry's content; `position` is its offset in the file, after the holes before it. */
  data?(slice: Buffer, position: number): void;
  /** After the last piece, also for entries without content. */
  end?(entry: TarEntry): void;
}

export interface TarLimits {
  /** Bytes of one extended header or long name. Xattrs stand in them, each up to 64 KiB. */
  readonly maxHeaderBytes: number;
  readonly maxEntries: number;
  /** Bytes of one file, holes included. */
  readonly maxFileBytes: number;
}

export const defaultTarLimits: TarLimits = {
  maxHeaderBytes: 1 << 20, // as Go's archive/tar, so what Docker can read we can
  maxEntries: 4_000_000,
  maxFileBytes: 2 ** 44, // 16 TiB, the most ext4 can hold
};

/** Extended headers before one entry. */
const maxExtendedHeaders = 32;

/** Largest uid or gid; the one above means "leave as it is" to chown(2). */
const maxId = 0xffff_fffe;

const extensionFlags: ReadonlySet<number> = new Set([
  typeFlags.pax,
  typeFlags.sunPax,
  typeFlags.globalPax,
  typeFlags.gnuLongName,
  typeFlags.gnuLongLink,
]);

type State = 'header' | 'extension' | 'old-sparse' | 'sparse-map' | 'data' | 'padding' | 'ended';

/**
 * Reads a tar archive pushed in pieces of any size, with bounded memory: ustar, v7, star, pax, GNU (long names, base-256,
 * sparse files of all forms). Whatever follows the two zero blocks at the end is ignored, as GNU tar and Docker do.
 */
export class TarReader {
  readonly #handler: TarHandler;
  readonly #limits: TarLimits;
  readonly #block = Buffer.alloc(blockSize);
  readonly #extended = new ExtendedHeaders();
  #filled = 0;
  #state: State = 'header';
  #offset = 0;
  #entries = 0;
  #zeroBlocks = 0;
  #headerOffset = 0;
  #extensions = 0;
  /** The header in hand while its extension or sparse map is read. */
  #raw: RawHeader | undefined;
  #fields: Extended | undefined;
  #extension = Buffer.alloc(0);
  #extensionFilled = 0;
  #oldSparse: number[] = [];
  #oldRealSize = 0;
  #mapReader: SparseMapReader | undefined;
  #mapBytes = 0;
  #entry: TarEntry | undefined;
  /** Bytes of content or padding still to come. */
  #remaining = 0;
  #padding = 0;
  #region = 0;
  #position = 0;

  constructor(handler: TarHandler, limits: Partial<TarLimits> = {}) {
    this.#handler = handler;
    this.#limits = { ...defaultTarLimits, ...limits };
  }

  /** Bytes taken so far. */
  get offset(): number {
    return this.#offset;
  }

  /** Entries seen so far. */
  get entries(): number {
    return this.#entries;
  }

  /** Takes the next bytes. @throws VarveError with a `TAR_…` code; the reader is of no use after that. */
  feed(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      const left = chunk.length - at;
      let taken: number;
      if (this.#state === 'ended') taken = left;
      else if (this.#state === 'data') taken = this.#data(chunk, at, left);
      else if (this.#state === 'padding') taken = this.#skip(left);
      else if (this.#state === 'extension') taken = this.#fillExtension(chunk, at, left);
      else {
        if (this.#filled === 0 && left >= blockSize) {
          this.#offset += blockSize;
          this.#takeBlock(chunk.subarray(at, at + blockSize));
          at += blockSize;
          continue;
        }
        taken = chunk.copy(this.#block, this.#filled, at, at + Math.min(left, blockSize - this.#filled));
        this.#filled += taken;
        this.#offset += taken;
        at += taken;
        if (this.#filled === blockSize) {
          this.#filled = 0;
          this.#takeBlock(this.#block);
        }
        continue;
      }
      this.#offset += taken;
      at += taken;
      this.#advance();
    }
  }

  /**
   * Says that there is no more. An archive may end without its zero blocks and without the last padding.
   * @throws VarveError TAR_TRUNCATED.
   */
  finish(): void {
    const clean =
      this.#state === 'ended' ||
      (this.#state === 'padding' && !this.#extended.pending) ||
      (this.#state === 'header' && this.#filled === 0 && !this.#extended.pending);
    if (!clean)
      throw layerError('TAR_TRUNCATED', 'the tar archive ends too early', `at byte ${this.#offset}`);
  }

  #takeBlock(block: Buffer): void {
    if (this.#state === 'header') this.#takeHeader(block);
    else if (this.#state === 'sparse-map') this.#takeMap(block);
    else if (!readOldSparse(block, 0, 21, this.#oldSparse)) this.#startEntry();
    this.#advance();
  }

  #takeHeader(block: Buffer): void {
    if (isZeroBlock(block)) {
      this.#zeroBlocks++;
      if (this.#zeroBlocks === 2) this.#state = 'ended';
      return;
    }
    const at = this.#offset - blockSize;
    if (this.#zeroBlocks > 0) {
      throw layerError('TAR_BAD_HEADER', 'a single zero block inside the tar archive', `at byte ${at}`);
    }
    if (!checksumMatches(block)) {
      throw layerError('TAR_BAD_CHECKSUM', 'bad checksum of a tar header', `at byte ${at}`);
    }
    const raw = parseHeader(block);
    if (this.#extensions === 0) this.#headerOffset = at;
    this.#raw = raw;
    if (extensionFlags.has(raw.typeFlag)) {
      this.#startExtension(raw);
      return;
    }
    this.#extensions = 0;
    this.#fields = this.#extended.take();
    if (raw.typeFlag === typeFlags.gnuSparse) {
      this.#oldSparse = [];
      const more = readOldSparse(block, 386, 4, this.#oldSparse);
      this.#oldRealSize = parseNumber(block, 483, 12, 'sparse size');
      if (more) this.#state = 'old-sparse';
      else this.#startEntry();
    } else if (this.#fields?.sparse?.map === 'in-data') {
      this.#mapReader = new SparseMapReader();
      this.#mapBytes = 0;
      this.#state = 'sparse-map';
      if (this.#storedSize() === 0)
        throw layerError('TAR_BAD_SPARSE', 'a sparse file without its map', raw.name);
    } else {
      this.#startEntry();
    }
  }

  #storedSize(): number {
    return this.#fields?.size ?? (this.#raw as RawHeader).size;
  }

  #startExtension(raw: RawHeader): void {
    if (raw.size < 0 || raw.size > this.#limits.maxHeaderBytes) {
      throw layerError(
        'TAR_LIMIT',
        `an extended header of more than ${this.#limits.maxHeaderBytes} bytes`,
        `at byte ${this.#offset}`,
      );
    }
    if (++this.#extensions > maxExtendedHeaders) {
      throw layerError('TAR_LIMIT', `more than ${maxExtendedHeaders} extended headers before one entry`);
    }
    this.#extension = Buffer.allocUnsafe(raw.size);
    this.#extensionFilled = 0;
    this.#padding = paddingAfter(raw.size);
    this.#state = 'extension';
  }

  #fillExtension(chunk: Buffer, at: number, left: number): number {
    const wanted = Math.min(left, this.#extension.length - this.#extensionFilled);
    const taken = chunk.copy(this.#extension, this.#extensionFilled, at, at + wanted);
    this.#extensionFilled += taken;
    return taken;
  }

  #takeMap(block: Buffer): void {
    this.#mapBytes += blockSize;
    if (this.#mapBytes > this.#storedSize()) {
      throw layerError('TAR_BAD_SPARSE', 'the map of a sparse file is longer than its data', this.#raw?.name);
    }
    const map = this.#mapReader?.push(block);
    if (map) this.#startEntry(map);
  }

  #startEntry(mapInData?: readonly SparseRegion[]): void {
    const raw = this.#raw as RawHeader;
    const entry = this.#buildEntry(raw, this.#fields, mapInData);
    if (++this.#entries > this.#limits.maxEntries) {
      throw layerError('TAR_LIMIT', `more than ${this.#limits.maxEntries} entries in one archive`);
    }
    this.#entry = entry;
    this.#remaining = entry.storedSize;
    this.#padding = paddingAfter(entry.storedSize);
    this.#region = 0;
    this.#position = entry.sparse?.[0]?.offset ?? 0;
    this.#state = 'data';
    this.#handler.entry(entry);
  }

  #buildEntry(raw: RawHeader, extended: Extended | undefined, mapInData?: readonly SparseRegion[]): TarEntry {
    const name = extended?.name ?? raw.name;
    const type = entryType(raw.typeFlag, name);
    const hasContent = type === 'file' || type === 'other';
    const declared = this.#storedSize();
    if (declared < 0) throw layerError('TAR_BAD_HEADER', 'negative size in a tar header', name);
    const storedSize = hasContent ? declared - (mapInData ? this.#mapBytes : 0) : 0;
    const old = raw.typeFlag === typeFlags.gnuSparse;
    const given = extended?.sparse?.map === 'in-data' ? mapInData : extended?.sparse?.map;
    const map = type === 'file' ? (old ? regionsOf(this.#oldSparse) : given) : undefined;
    const size = map ? (old ? this.#oldRealSize : (extended?.sparse?.realSize ?? endOf(map))) : storedSize;
    if (map) checkSparseMap(map, size, storedSize, name);
    if (size > this.#limits.maxFileBytes) {
      throw layerError('TAR_LIMIT', `a file of more than ${this.#limits.maxFileBytes} bytes`, name);
    }
    const uid = extended?.uid ?? raw.uid;
    const gid = extended?.gid ?? raw.gid;
    if (uid < 0 || gid < 0 || uid > maxId || gid > maxId) {
      throw layerError('TAR_BAD_HEADER', 'owner out of range in a tar header', name);
    }
    const device = type === 'character-device' || type === 'block-device';
    return {
      type,
      typeFlag: raw.typeFlag,
      name,
      linkName: type === 'symlink' || type === 'hardlink' ? (extended?.linkName ?? raw.linkName) : emptyBytes,
      mode: raw.mode,
      uid,
      gid,
      userName: extended?.userName ?? raw.userName,
      groupName: extended?.groupName ?? raw.groupName,
      size,
      mtime: extended?.mtime ?? raw.mtime,
      ...(extended?.atime ? { atime: extended.atime } : {}),
      ...(extended?.ctime ? { ctime: extended.ctime } : {}),
      deviceMajor: device ? raw.deviceMajor : 0,
      deviceMinor: device ? raw.deviceMinor : 0,
      xattrs: extended?.xattrs ?? [],
      headerOffset: this.#headerOffset,
      dataOffset: this.#offset,
      storedSize,
      sparse: map,
    };
  }

  #data(chunk: Buffer, at: number, left: number): number {
    let size = Math.min(left, this.#remaining);
    const region = this.#entry?.sparse?.[this.#region];
    if (region) size = Math.min(size, region.offset + region.size - this.#position);
    this.#handler.data?.(chunk.subarray(at, at + size), this.#position);
    this.#position += size;
    this.#remaining -= size;
    if (region && this.#position === region.offset + region.size) {
      this.#region++;
      this.#position = this.#entry?.sparse?.[this.#region]?.offset ?? this.#position;
    }
    return size;
  }

  #skip(left: number): number {
    const size = Math.min(left, this.#padding);
    this.#padding -= size;
    return size;
  }

  /** Goes through the states that end without another byte. */
  #advance(): void {
    if (this.#state === 'extension' && this.#extensionFilled === this.#extension.length) {
      this.#endExtension();
      this.#state = 'padding';
    }
    if (this.#state === 'data' && this.#remaining === 0) {
      const entry = this.#entry as TarEntry;
      this.#entry = undefined;
      this.#state = 'padding';
      this.#handler.end?.(entry);
    }
    if (this.#state === 'padding' && this.#padding === 0) this.#state = 'header';
  }

  #endExtension(): void {
    const data = this.#extension;
    const flag = this.#raw?.typeFlag;
    if (flag === typeFlags.gnuLongName) this.#extended.addLong('name', data);
    else if (flag === typeFlags.gnuLongLink) this.#extended.addLong('link', data);
    else if (flag === typeFlags.globalPax) {
      this.#extended.addGlobal(data);
      // It is no part of the next entry.
      if (!this.#extended.pending) this.#extensions = 0;
    } else this.#extended.addLocal(data);
  }
}

const emptyBytes = Buffer.alloc(0);

function endOf(map: readonly SparseRegion[]): number {
  const last = map.at(-1);
  return last ? last.offset + last.size : 0;
}
