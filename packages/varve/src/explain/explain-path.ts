import { type FollowedLink, foldersAbove, lookUp } from './look-up.ts';
import { decides, isFolder, isPresent, nodePath, type Stack, type Version } from './stack.ts';
import type { FileFacts, Hiding, LayerName } from './types.ts';
import { factsOf, hiddenBy, hidesSomething, type Place, placeOf, seenVersion } from './visibility.ts';

/** What one layer has to do with a path. */
export interface PathFinding {
  readonly layer: LayerName;
  /** What the layer holds there; undefined when it only hides. */
  readonly file?: FileFacts;
  /** Only entries below it made this folder. */
  readonly implied?: boolean;
  /** How the layer hides what lies below it, when it does. */
  readonly hides?: Hiding;
  /** False for a whiteout of something that no layer below has. */
  readonly hidesSomething?: boolean;
  /**
   * `seen`: this is what a process gets. `merged`: a folder whose content shows, under attributes of a layer above.
   * `hidden`: a layer above keeps it from being seen. `deletes`: holds nothing itself.
   */
  readonly role: 'seen' | 'merged' | 'hidden' | 'deletes';
  /** For `hidden`: the first layer above that hid it, and how. */
  readonly hiddenBy?: { readonly layer: LayerName; readonly hiding: Hiding };
}

/** What the first change in a container on this image costs; the driver is overlay2 with metacopy off. */
export interface WriteCost {
  /** Bytes of content copied up by a write, and by a chmod, chown or touch just the same. */
  readonly copyUpBytes: number;
  /** Folders made in the container's layer first, topmost first. */
  readonly folders: readonly string[];
  /** Other names of the same file, which keep the old content after the write: copy-up breaks hard links. */
  readonly otherNames: readonly string[];
}

export interface PathExplanation {
  /** As it was asked for. */
  readonly asked: string;
  /** After links in the folders above. */
  readonly path: string;
  readonly links: readonly FollowedLink[];
  /** The links go round in circles: every access fails with ELOOP. */
  readonly loops: boolean;
  readonly exists: boolean;
  readonly seen?: { readonly layer: LayerName; readonly file: FileFacts };
  /** The top layer first; layers with nothing to say are left out. */
  readonly findings: readonly PathFinding[];
  /** Bytes of files at this very path that are shipped and can no longer be seen under any name. */
  readonly deadBytes: number;
  /** undefined when there is nothing at the path. */
  readonly write?: WriteCost;
}

/** Tells where a path comes from and why: every layer's part in it, the top one first. */
export function explainPath(stack: Stack, asked: string): PathExplanation {
  const { place, links, loops } = lookUp(stack, asked);
  const seen = loops ? undefined : seenVersion(place);
  const file = seen && factsOf(place, seen);
  const write = seen && file && writeCost(place, seen, file);
  return {
    asked,
    path: place.path,
    links,
    loops,
    exists: file !== undefined,
    ...(seen && file ? { seen: { layer: stack.layers[seen.layer] as LayerName, file } } : {}),
    findings: findings(stack, place, seen),
    deadBytes: deadBytes(stack, place),
    ...(write ? { write } : {}),
  };
}

function findings(stack: Stack, place: Place, seen: Version | undefined): PathFinding[] {
  const nameOf = (layer: number): LayerName => stack.layers[layer] as LayerName;
  const hidings = new Map<number, Hiding>();
  for (const blockers of place.above) {
    for (const { layer, hiding } of blockers) if (!hidings.has(layer)) hidings.set(layer, hiding);
  }
  const result: PathFinding[] = [];
  for (const version of place.node?.versions ?? []) {
    const { layer } = version;
    const own = ownHiding(place, version);
    const hides = hidings.get(layer) ?? own;
    hidings.delete(layer);
    const file = factsOf(place, version);
    const blocker = file && hiddenBy(place, version);
    result.push({
      layer: nameOf(layer),
      ...(file ? { file } : {}),
      ...(version.implied && !version.inode ? { implied: true } : {}),
      ...(hides ? { hides, hidesSomething: hidesSomething(place, version) } : {}),
      role: roleOf(version, seen, blocker !== undefined),
      ...(blocker ? { hiddenBy: { layer: nameOf(blocker.layer), hiding: blocker.hiding } } : {}),
    });
  }
  for (const [layer, hides] of hidings) {
    const something = hidesSomething(place, { layer });
    result.push({ layer: nameOf(layer), hides, hidesSomething: something, role: 'deletes' });
  }
  return result.sort((a, b) => b.layer.index - a.layer.index);
}

function roleOf(version: Version, seen: Version | undefined, isHidden: boolean): PathFinding['role'] {
  if (!isPresent(version)) return 'deletes';
  if (version === seen) return 'seen';
  return isHidden ? 'hidden' : 'merged';
}

function ownHiding(place: Place, version: Version): Hiding | undefined {
  if (version.whiteout) return { by: 'whiteout', at: place.path };
  if (version.opaque) return { by: 'opaque-folder', at: place.path };
  const below = place.node?.versions.findLast((item) => item.layer < version.layer && decides(item));
  if (!below || !isPresent(version)) return undefined;
  return isFolder(version) && isFolder(below) ? undefined : { by: 'replacement', at: place.path };
}

/** A file that still has another name to be seen by is not dead. */
function deadBytes(stack: Stack, place: Place): number {
  let total = 0;
  for (const version of place.node?.versions ?? []) {
    const { inode } = version;
    if (inode?.facts.type !== 'file') continue;
    const isAlive = [...inode.names].some((node) => {
      return seenVersion(placeOf(stack, nodePath(node)))?.inode === inode;
    });
    if (!isAlive) total += inode.facts.size;
  }
  return total;
}

function writeCost(place: Place, seen: Version, file: FileFacts): WriteCost {
  const names = [...(seen.inode?.names ?? [])].map(nodePath).filter((name) => name !== place.path);
  return {
    copyUpBytes: file.type === 'file' ? file.size : 0,
    folders: foldersAbove(place.path),
    otherNames: names.sort(),
  };
}
