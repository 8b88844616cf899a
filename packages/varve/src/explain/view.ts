import { differences } from './differences.ts';
import type { Stack, StackNode } from './stack.ts';
import type { Difference, FileFacts, LayerName } from './types.ts';
import { attributesOf, factsOf, seenVersion, walkStack } from './visibility.ts';

/** A path of the merged tree. */
export interface SeenFile extends FileFacts {
  readonly path: string;
  readonly layer: LayerName;
  readonly xattrs?: string;
}

/** The merged tree as a container sees it, by path. */
export function mergedView(stack: Stack): Map<string, SeenFile> {
  const view = new Map<string, SeenFile>();
  for (const place of walkStack(stack)) {
    const version = seenVersion(place);
    const facts = version && factsOf(place, version);
    if (!version || !facts) continue;
    const xattrs = (version.inode ?? attributesOf(place, version)?.inode)?.xattrs;
    view.set(place.path, {
      path: place.path,
      layer: stack.layers[version.layer] as LayerName,
      ...facts,
      ...(xattrs === undefined ? {} : { xattrs }),
    });
  }
  return view;
}

/** The largest files that can be seen, each file once, and the layers they come from. */
export function largest(stack: Stack, count: number): SeenFile[] {
  const seenInodes = new Set<unknown>();
  const files: SeenFile[] = [];
  for (const place of walkStack(stack)) {
    const version = seenVersion(place);
    if (version?.inode?.facts.type !== 'file' || seenInodes.has(version.inode)) continue;
    seenInodes.add(version.inode);
    files.push({
      path: place.path,
      layer: stack.layers[version.layer] as LayerName,
      ...version.inode.facts,
    });
  }
  return files.sort((a, b) => b.size - a.size || (a.path < b.path ? -1 : 1)).slice(0, count);
}

/** What became of a path between two trees. */
export interface TreeChange {
  readonly path: string;
  readonly kind: 'added' | 'removed' | 'changed';
  /** Bytes of content more (or less). */
  readonly bytes: number;
  /** For `changed`. */
  readonly differs: readonly Difference[];
}

/** Compares two merged trees, path by path; sorted by path. */
export function diffTrees(
  before: ReadonlyMap<string, SeenFile>,
  after: ReadonlyMap<string, SeenFile>,
): TreeChange[] {
  const changes: TreeChange[] = [];
  for (const [path, file] of after) {
    const old = before.get(path);
    if (!old) {
      changes.push({ path, kind: 'added', bytes: file.size, differs: [] });
      continue;
    }
    const differs = differences(old, file);
    if (differs.length > 0) changes.push({ path, kind: 'changed', bytes: file.size - old.size, differs });
  }
  for (const [path, { size }] of before) {
    if (!after.has(path)) changes.push({ path, kind: 'removed', bytes: -size, differs: [] });
  }
  return changes.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** The change that the layers after `from` up to and with `to` make to the tree; `from` -1 is the empty one. */
export function diffLayers(stack: Stack, from: number, to: number): TreeChange[] {
  return diffTrees(mergedView(firstLayers(stack, from + 1)), mergedView(firstLayers(stack, to + 1)));
}

/** The stack without its upper layers. */
function firstLayers(stack: Stack, count: number): Stack {
  const copy = (node: StackNode, parent: StackNode | undefined): StackNode => {
    const made: StackNode = {
      name: node.name,
      parent,
      children: new Map(),
      versions: node.versions.filter(({ layer }) => layer < count),
    };
    for (const [name, child] of node.children) made.children.set(name, copy(child, made));
    return made;
  };
  return {
    root: copy(stack.root, undefined),
    layers: stack.layers.slice(0, count),
    inodes: stack.inodes.filter(({ layer }) => layer < count),
  };
}
