import type { TimeSpec } from '../../linux/index.ts';
import { layerError } from '../errors.ts';
import type { SparseRegion, Xattr } from './entry.ts';
import { type PaxRecord, parsePax, paxInteger, paxTime } from './pax.ts';
import { parseSparseList, regionsOf } from './sparse.ts';

/** How the map of a sparse file is given. */
export type SparseForm =
  | { readonly map: readonly SparseRegion[] }
  /** GNU.sparse 1.0: it stands before the data. */
  | { readonly map: 'in-data' };

/** What extended headers say about the next entry; undefined where they say nothing. */
export interface Extended {
  readonly name: Buffer | undefined;
  readonly linkName: Buffer | undefined;
  readonly size: number | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly userName: Buffer | undefined;
  readonly groupName: Buffer | undefined;
  readonly mtime: TimeSpec | undefined;
  readonly atime: TimeSpec | undefined;
  readonly ctime: TimeSpec | undefined;
  readonly xattrs: readonly Xattr[];
  readonly sparse: (SparseForm & { readonly realSize: number | undefined }) | undefined;
}

const schilyXattr = 'SCHILY.xattr.';
const libarchiveXattr = 'LIBARCHIVE.xattr.';

/** Records of a global header that are taken; a name or size for every entry would make no sense. */
const globalKeys: ReadonlySet<string> = new Set(['uid', 'gid', 'uname', 'gname', 'mtime', 'atime', 'ctime']);

function noNul(key: string, value: Buffer | undefined): Buffer | undefined {
  if (value === undefined || value.length === 0) return undefined;
  if (value.includes(0)) throw layerError('TAR_BAD_PAX', `NUL in the pax record "${key}"`);
  return Buffer.from(value);
}

function percentDecode(text: string): Buffer {
  return Buffer.from(
    text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  );
}

/** Gathers the extended headers before an entry: pax local and global ones, GNU long names. */
export class ExtendedHeaders {
  readonly #global = new Map<string, Buffer>();
  #local: PaxRecord[] = [];
  #longName: Buffer | undefined;
  #longLink: Buffer | undefined;

  addGlobal(data: Buffer): void {
    for (const [key, value] of parsePax(data)) {
      if (globalKeys.has(key)) this.#global.set(key, Buffer.from(value));
    }
  }

  addLocal(data: Buffer): void {
    this.#local.push(...parsePax(data));
  }

  /** GNU long name or link name: the content up to its NUL. */
  addLong(kind: 'name' | 'link', data: Buffer): void {
    const end = data.indexOf(0);
    const value = Buffer.from(end < 0 ? data : data.subarray(0, end));
    if (kind === 'name') this.#longName = value;
    else this.#longLink = value;
  }

  /** True when local headers wait for their entry. */
  get pending(): boolean {
    return this.#local.length > 0 || this.#longName !== undefined || this.#longLink !== undefined;
  }

  /** What holds for the next entry; forgets the local headers. */
  take(): Extended | undefined {
    if (this.#global.size === 0 && !this.pending) return undefined;
    const values = new Map(this.#global);
    const xattrs = new Map<string, Buffer>();
    const pieces: number[] = [];
    for (const [key, value] of this.#local) {
      if (key.startsWith(schilyXattr)) {
        xattrs.set(key.slice(schilyXattr.length), Buffer.from(value));
      } else if (key.startsWith(libarchiveXattr)) {
        const name = percentDecode(key.slice(libarchiveXattr.length)).toString('latin1');
        // libarchive writes both forms; the other needs no decoding.
        if (!xattrs.has(name)) xattrs.set(name, Buffer.from(value.toString('latin1'), 'base64'));
      } else if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') {
        pieces.push(paxInteger(key, value));
      } else {
        values.set(key, value);
      }
    }
    const extended = this.#resolve(values, xattrs, pieces);
    this.#local = [];
    this.#longName = undefined;
    this.#longLink = undefined;
    return extended;
  }

  #resolve(values: Map<string, Buffer>, xattrs: Map<string, Buffer>, pieces: readonly number[]): Extended {
    const present = (key: string): Buffer | undefined => {
      const value = values.get(key);
      return value === undefined || value.length === 0 ? undefined : value;
    };
    const integer = (key: string): number | undefined => {
      const value = present(key);
      return value && paxInteger(key, value);
    };
    const time = (key: string): TimeSpec | undefined => {
      const value = present(key);
      return value && paxTime(key, value);
    };
    return {
      // GNU tar and Go's let the long name win over pax.
      name:
        this.#longName ??
        noNul('GNU.sparse.name', values.get('GNU.sparse.name')) ??
        noNul('path', values.get('path')),
      linkName: this.#longLink ?? noNul('linkpath', values.get('linkpath')),
      size: integer('size'),
      uid: integer('uid'),
      gid: integer('gid'),
      userName: noNul('uname', values.get('uname')),
      groupName: noNul('gname', values.get('gname')),
      mtime: time('mtime'),
      atime: time('atime'),
      ctime: time('ctime'),
      xattrs: Array.from(xattrs, ([name, value]) => ({ name: Buffer.from(name, 'latin1'), value })),
      sparse: sparseForm(values, pieces, integer),
    };
  }
}

function sparseForm(
  values: ReadonlyMap<string, Buffer>,
  pieces: readonly number[],
  integer: (key: string) => number | undefined,
): Extended['sparse'] {
  const realSize = integer('GNU.sparse.realsize') ?? integer('GNU.sparse.size');
  const list = values.get('GNU.sparse.map');
  if (values.get('GNU.sparse.major')?.toString('latin1') === '1') return { map: 'in-data', realSize };
  if (list !== undefined) return { map: parseSparseList(list.toString('latin1')), realSize };
  if (pieces.length > 0) return { map: regionsOf(pieces), realSize };
  return undefined;
}
