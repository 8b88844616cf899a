import type { Digest } from '../oci/index.ts';
import { differences, isSameContent } from './differences.ts';
import { type Inode, isPresent, nodePath, type Stack } from './stack.ts';
import type { Difference, Hiding, LayerName } from './types.ts';
import { type Blocker, hiddenBy, hidesSomething, type Place, placeOf, walkStack } from './visibility.ts';

/**
 * Why bytes of a layer can never be seen.
 * `overwritten`: a layer above has another content at the path. `metadata-only`: it has the same content again, since
 * chmod, chown or touch copies the whole file. `deleted`: a layer above deletes it. `replaced-in-layer`: the tar
 * itself has the name twice.
 */
export type WasteCause = 'overwritten' | 'metadata-only' | 'deleted' | 'replaced-in-layer';

/** One file of one layer that is shipped and never seen. Hard links are one file. */
export interface WasteItem {
  readonly path: string;
  readonly bytes: number;
  readonly cause: WasteCause;
  /** The layer that ships the bytes. */
  readonly layer: LayerName;
  /** The layer that made them useless: the one that took the file's last name. */
  readonly by: LayerName;
  /** How it did; undefined for `replaced-in-layer`. */
  readonly hiding?: Hiding;
  /** For `metadata-only`: what changed; empty when nothing did. */
  readonly differs?: readonly Difference[];
}

/** All files that one layer made useless in another for one cause. */
export interface WasteGroup {
  readonly cause: WasteCause;
  readonly layer: LayerName;
  readonly by: LayerName;
  readonly files: number;
  readonly bytes: number;
  /** For `metadata-only`: what changed in any of them. */
  readonly differs: readonly Difference[];
  /** The path of the largest. */
  readonly largest: string;
}

/** What a layer ships, and what of it is left. */
export interface LayerSizes {
  readonly layer: LayerName;
  /** Bytes of content in its tar, hard links once. */
  readonly storedBytes: number;
  /** Of these, bytes that can be seen in the finished image. */
  readonly seenBytes: number;
  /** Bytes of the layers up to this one. */
  readonly cumulativeBytes: number;
}

/** Files of the finished image with the same content. Not waste of layers: a flattened image has them too. */
export interface Duplicate {
  readonly digest: Digest;
  readonly bytes: number;
  readonly paths: readonly string[];
}

/** Where an image's bytes go. `shippedBytes` is `seenBytes` and the items' bytes, exactly. */
export interface WasteLedger {
  readonly shippedBytes: number;
  /** Size of the image flattened into one layer. */
  readonly seenBytes: number;
  readonly wastedBytes: number;
  readonly causes: Readonly<Record<WasteCause, { readonly files: number; readonly bytes: number }>>;
  /** The largest first. */
  readonly items: readonly WasteItem[];
  /** The items by cause and layers, the most bytes first. */
  readonly groups: readonly WasteGroup[];
  readonly layers: readonly LayerSizes[];
  /** Whiteouts that delete nothing: no layer below has the path. */
  readonly danglingWhiteouts: readonly { readonly layer: LayerName; readonly path: string }[];
  /** The most bytes to gain first. */
  readonly duplicates: readonly Duplicate[];
}

/** Accounts for every byte of file content of an image: seen, or wasted once, with its cause. */
export function wasteLedger(stack: Stack): WasteLedger {
  const nameOf = (layer: number): LayerName => stack.layers[layer] as LayerName;
  const stored = stack.layers.map(() => 0);
  const seen = stack.layers.map(() => 0);
  const causes = {
    overwritten: { files: 0, bytes: 0 },
    'metadata-only': { files: 0, bytes: 0 },
    deleted: { files: 0, bytes: 0 },
    'replaced-in-layer': { files: 0, bytes: 0 },
  };
  const items: WasteItem[] = [];
  const alive: Inode[] = [];
  for (const inode of stack.inodes) {
    const { layer, facts } = inode;
    stored[layer] = (stored[layer] ?? 0) + facts.size;
    const end = endOf(stack, inode);
    if (!end) {
      seen[layer] = (seen[layer] ?? 0) + facts.size;
      alive.push(inode);
      continue;
    }
    const item = {
      path: end.path,
      bytes: facts.size,
      layer: nameOf(layer),
      by: nameOf(end.layer),
      ...end.why,
    };
    causes[item.cause].files++;
    causes[item.cause].bytes += facts.size;
    if (facts.size > 0) items.push(item);
  }
  items.sort((a, b) => b.bytes - a.bytes || a.layer.index - b.layer.index || compare(a.path, b.path));
  const total = (numbers: readonly number[]): number => numbers.reduce((sum, bytes) => sum + bytes, 0);
  const [shippedBytes, seenBytes] = [total(stored), total(seen)];
  return {
    shippedBytes,
    seenBytes,
    wastedBytes: shippedBytes - seenBytes,
    causes,
    items,
    groups: groupsOf(items),
    layers: stack.layers.map((layer, index) => ({
      layer,
      storedBytes: stored[index] ?? 0,
      seenBytes: seen[index] ?? 0,
      cumulativeBytes: total(stored.slice(0, index + 1)),
    })),
    danglingWhiteouts: danglingWhiteouts(stack),
    duplicates: duplicates(alive),
  };
}

interface End {
  readonly path: string;
  readonly layer: number;
  readonly why: Pick<WasteItem, 'cause' | 'hiding' | 'differs'>;
}

/** How a file stopped being seen; undefined when it still is, under any name. */
function endOf(stack: Stack, inode: Inode): End | undefined {
  if (inode.names.size === 0) {
    return { path: nodePath(inode.firstName), layer: inode.layer, why: { cause: 'replaced-in-layer' } };
  }
  let last: { readonly place: Place; readonly blocker: Blocker } | undefined;
  for (const node of inode.names) {
    const place = placeOf(stack, nodePath(node));
    const version = node.versions.find((item) => item.inode === inode);
    const blocker = version && hiddenBy(place, version);
    if (!blocker) return undefined;
    if (!last || blocker.layer > last.blocker.layer) last = { place, blocker };
  }
  return (
    last && {
      path: last.place.path,
      layer: last.blocker.layer,
      why: whyHidden(inode, last.place, last.blocker),
    }
  );
}

function whyHidden(inode: Inode, place: Place, { layer, hiding }: Blocker): End['why'] {
  // A folder that is emptied and filled again in one layer brings its files anew: they are what replaced these.
  const successor = place.node?.versions.find((version) => version.layer === layer)?.inode;
  if (!successor) return { cause: 'deleted', hiding };
  if (!isSameContent(inode.facts, successor.facts)) return { cause: 'overwritten', hiding };
  const differs = differences(
    { ...inode.facts, xattrs: inode.xattrs },
    { ...successor.facts, xattrs: successor.xattrs },
  );
  return { cause: 'metadata-only', hiding, differs };
}

function groupsOf(items: readonly WasteItem[]): WasteGroup[] {
  const groups = new Map<string, WasteGroup>();
  for (const { cause, layer, by, bytes, path, differs = [] } of items) {
    const key = `${cause} ${layer.index} ${by.index}`;
    const group = groups.get(key) ?? { cause, layer, by, files: 0, bytes: 0, differs: [], largest: path };
    groups.set(key, {
      ...group,
      files: group.files + 1,
      bytes: group.bytes + bytes,
      differs: [...new Set([...group.differs, ...differs])],
    });
  }
  return [...groups.values()].sort(
    (a, b) => b.bytes - a.bytes || a.layer.index - b.layer.index || a.by.index - b.by.index,
  );
}

function danglingWhiteouts(stack: Stack): { layer: LayerName; path: string }[] {
  const result: { layer: LayerName; path: string }[] = [];
  for (const place of walkStack(stack)) {
    for (const version of place.node?.versions ?? []) {
      if (!version.whiteout || isPresent(version) || hidesSomething(place, version)) continue;
      result.push({ layer: stack.layers[version.layer] as LayerName, path: place.path });
    }
  }
  return result;
}

function duplicates(alive: readonly Inode[]): Duplicate[] {
  const byContent = new Map<Digest, Inode[]>();
  for (const inode of alive) {
    const { digest, size } = inode.facts;
    if (digest === undefined || size === 0) continue;
    const same = byContent.get(digest) ?? [];
    same.push(inode);
    byContent.set(digest, same);
  }
  return [...byContent]
    .filter(([, same]) => same.length > 1)
    .map(([digest, same]) => ({
      digest,
      bytes: same[0]?.facts.size ?? 0,
      paths: same.map(({ firstName }) => nodePath(firstName)).sort(),
    }))
    .sort((a, b) => gain(b) - gain(a) || compare(a.digest, b.digest));
}

/** Bytes that one copy instead of all would save. */
const gain = ({ bytes, paths }: Duplicate): number => bytes * (paths.length - 1);

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
