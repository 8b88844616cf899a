import type { ChainID, DiffID } from '../../oci/index.ts';
import { isDigest } from '../../oci/index.ts';

/** Parts of a layer whose meaning the layers below decide. Paths are relative, one character a byte (latin1). */
export interface Unsettled {
  readonly whiteouts: readonly string[];
  /** Folders without an entry of their own, parents first. */
  readonly folders: readonly string[];
}

/** What is written beside a snapshot's files: all a driver needs to know it again. */
export interface SnapshotRecord {
  readonly key: string;
  readonly kind: 'committed' | 'active';
  readonly parent: ChainID | undefined;
  /** Of an applied layer. */
  readonly diffId?: DiffID;
  /** Bytes of file content of an applied layer, and of its tar. */
  readonly size?: number;
  readonly tarSize?: number;
  /** True when the layer says nothing of the root folder itself, so that the one below decides its owner and mode. */
  readonly plainRoot?: boolean;
  /** What waits for the layers below a layer that was unpacked before them. */
  readonly unsettled?: Unsettled;
  /** True for a writable layer that is kept to its size by an image file; see quota/image.ts. */
  readonly image?: boolean;
}

/** The file's name in the snapshot's folder. */
export const recordFile = 'snapshot.json';

const version = 1;

/** The record as JSON. */
export function formatRecord(record: SnapshotRecord): string {
  return `${JSON.stringify({ version, ...record })}\n`;
}

/** Reads a record; undefined when the text is not one (a torn or foreign file). */
export function parseRecord(text: string): SnapshotRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { key, kind, parent, diffId, size, tarSize, plainRoot, unsettled, image, ...rest } = value as Record<
    string,
    unknown
  >;
  if (rest['version'] !== version || typeof key !== 'string') return undefined;
  if (kind !== 'active' && !(kind === 'committed' && isDigest(key))) return undefined;
  const digest = (item: unknown): ChainID | undefined =>
    typeof item === 'string' && isDigest(item) ? item : undefined;
  const count = (item: unknown): number | undefined =>
    Number.isSafeInteger(item) ? (item as number) : undefined;
  if (parent !== undefined && digest(parent) === undefined) return undefined;
  const optional = { diffId: digest(diffId), size: count(size), tarSize: count(tarSize) };
  return {
    key,
    kind,
    parent: digest(parent),
    ...(optional.diffId === undefined ? {} : { diffId: optional.diffId }),
    ...(optional.size === undefined ? {} : { size: optional.size }),
    ...(optional.tarSize === undefined ? {} : { tarSize: optional.tarSize }),
    ...(plainRoot === true ? { plainRoot } : {}),
    ...(kind === 'active' && image === true ? { image } : {}),
    ...(isUnsettled(unsettled) ? { unsettled } : {}),
  };
}

function isUnsettled(value: unknown): value is Unsettled {
  if (typeof value !== 'object' || value === null) return false;
  const { whiteouts, folders } = value as Record<string, unknown>;
  return isTexts(whiteouts) && isTexts(folders);
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
