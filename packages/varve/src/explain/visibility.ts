import { pathParts } from './paths.ts';
import { decides, isFolder, isPresent, type Stack, type StackNode, type Version } from './stack.ts';
import type { FileFacts, Hiding } from './types.ts';

/** A layer from which on everything below it is hidden. */
export interface Blocker {
  readonly layer: number;
  readonly hiding: Hiding;
}

/** A path of the stack together with what the folders above it hide. */
export interface Place {
  /** undefined when no layer says anything of the path. */
  readonly node: StackNode | undefined;
  readonly path: string;
  /** Of each folder above, the root first. */
  readonly above: readonly (readonly Blocker[])[];
  /** Layers below this one cannot be seen at this path. */
  readonly floor: number;
}

/** The attributes of a folder that no layer has an entry for (`layer`'s extractor). */
const bareFolder: FileFacts = { type: 'directory', size: 0, mode: 0o755, uid: 0, gid: 0, mtime: 0 };

/**
 * What a version shows; undefined when it only deletes. A folder without an entry of its own looks as it does in the
 * layers below.
 */
export function factsOf(place: Place, version: Version): FileFacts | undefined {
  if (version.inode) return version.inode.facts;
  if (!version.implied) return undefined;
  return attributesOf(place, version)?.inode?.facts ?? bareFolder;
}

/** The version whose entry gives a folder its attributes; undefined when there is none. */
export function attributesOf(place: Place, version: Version): Version | undefined {
  const floor = floorBelow(place, version.layer + 1);
  for (const below of place.node?.versions.toReversed() ?? []) {
    if (below.layer > version.layer) continue;
    if (below.layer < floor || !(below === version || isFolder(below) || !decides(below))) return undefined;
    if (below.inode) return below;
    if (below.madeAnew) return undefined;
  }
  return undefined;
}

/** The lowest layer that can still be seen at a place when only the layers below `layer` are there. */
function floorBelow(place: Place, layer: number): number {
  return Math.max(0, ...place.above.map((list) => list.findLast((item) => item.layer < layer)?.layer ?? 0));
}

export function rootPlace(stack: Stack): Place {
  return { node: stack.root, path: '/', above: [], floor: 0 };
}

/** The place of a name in a folder. */
export function childPlace(place: Place, name: string): Place {
  const own = place.node ? blockersFor(place.node, place.path) : [];
  return {
    node: place.node?.children.get(name),
    path: place.path === '/' ? `/${name}` : `${place.path}/${name}`,
    above: [...place.above, own],
    floor: Math.max(place.floor, own.at(-1)?.layer ?? 0),
  };
}

/** The place of a path as layers name it: no link is followed. */
export function placeOf(stack: Stack, path: string): Place {
  return pathParts(path).reduce(childPlace, rootPlace(stack));
}

/** What a path hides of the layers below in the folder that it is, or was. */
function blockersFor(node: StackNode, path: string): Blocker[] {
  const blockers: Blocker[] = [];
  for (const version of node.versions) {
    const { layer } = version;
    if (version.whiteout) blockers.push({ layer, hiding: { by: 'whiteout', at: path } });
    else if (version.inode && !isFolder(version)) {
      blockers.push({ layer, hiding: { by: 'not-a-folder', at: path } });
    } else if (version.opaque) blockers.push({ layer, hiding: { by: 'opaque-folder', at: path } });
  }
  return blockers;
}

/**
 * The version that is seen, as overlayfs looks a name up: from the top layer down, until something hides what is below.
 * A root without entries shows the default attributes.
 */
export function seenVersion(place: Place): Version | undefined {
  const top = place.node?.versions.findLast((version) => version.layer >= place.floor && decides(version));
  if (place.node && !place.node.parent) {
    return place.node.versions.findLast(({ inode }) => inode !== undefined) ?? { layer: 0, implied: true };
  }
  return top && isPresent(top) ? top : undefined;
}

/** The first layer above `version` that hides it, and how; undefined when none does. Folders merge and hide no folder. */
export function hiddenBy(place: Place, version: Version): Blocker | undefined {
  let first: Blocker | undefined;
  const consider = (blocker: Blocker | undefined): void => {
    if (blocker && (!first || blocker.layer < first.layer)) first = blocker;
  };
  for (const blockers of place.above) consider(blockers.find(({ layer }) => layer > version.layer));
  consider(ownBlocker(place, version));
  return first;
}

function ownBlocker(place: Place, version: Version): Blocker | undefined {
  for (const later of place.node?.versions ?? []) {
    if (later.layer <= version.layer) continue;
    const { layer } = later;
    const merges = isFolder(later) && isFolder(version);
    if (isPresent(later) && !merges) return { layer, hiding: { by: 'replacement', at: place.path } };
    if (later.whiteout) return { layer, hiding: { by: 'whiteout', at: place.path } };
  }
  return undefined;
}

/** True when some layer below has something at the place that `version` keeps from being seen. */
export function hidesSomething(place: Place, version: Version): boolean {
  const floor = floorBelow(place, version.layer);
  const below = place.node?.versions.findLast(
    (item) => item.layer < version.layer && item.layer >= floor && decides(item),
  );
  return below !== undefined && isPresent(below);
}

/** Every path of the stack, folders before what is in them. */
export function* walkStack(stack: Stack): Generator<Place> {
  const places: Place[] = [rootPlace(stack)];
  for (let place = places.pop(); place; place = places.pop()) {
    yield place;
    const names = [...(place.node?.children.keys() ?? [])].sort().reverse();
    for (const name of names) places.push(childPlace(place, name));
  }
}
