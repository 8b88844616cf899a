import { lstatSync, readdirSync, realpathSync, type BigIntStats } from 'node:fs';
import { mountsBelow } from '../../linux/index.ts';

/** What some files take: blocks given to them, as du(1) counts. */
export interface Extent {
  readonly bytes: number;
  readonly inodes: number;
}

/** How a tree is divided into places. */
export interface SurveyPlan {
  /**
   * By the first name of a path: how many names make a place (1 where absent). What lies deeper counts as the place's.
   * `{content: 3}` makes each `content/sha256/<hex>` one, and `content` and `content/sha256` themselves.
   */
  readonly depths: Readonly<Record<string, number>>;
  /** Names of files that are places of their own although they lie in one: `snapshots/erofs/<id>/index.erofs`. */
  readonly parts: readonly string[];
  /** Further paths that are places of their own, at most eight names deep. */
  readonly places: readonly string[];
}

/** What a tree takes on disk, each inode once: the sum over all is what `du -sx` says of it when nothing is mounted there. */
export interface Survey {
  /** By path relative to the root; the root itself is the empty one. */
  readonly places: ReadonlyMap<string, Extent>;
  /** Files with names in several places: gone when the last of them is. */
  readonly linked: readonly (Extent & { readonly places: readonly string[] })[];
}

interface LinkedFile {
  readonly blocks: bigint;
  readonly places: Set<string>;
}

/**
 * Adds up what each place of a tree takes. Follows no link and enters no mount point, so that other file systems and trees that
 * are shown twice do not count.
 */
export function surveyTree(root: string, plan: SurveyPlan): Survey {
  const real = realpathSync(root);
  const mounted = new Set(mountsBelow(real).map(({ target }) => target));
  mounted.delete(real);
  const places = new Map<string, { blocks: bigint; inodes: number }>();
  const linked = new Map<string, LinkedFile>();
  const count = (place: string, stat: BigIntStats): void => {
    if (!stat.isDirectory() && stat.nlink > 1n) {
      const key = `${stat.dev}:${stat.ino}`;
      const known = linked.get(key) ?? { blocks: stat.blocks, places: new Set<string>() };
      linked.set(key, known);
      known.places.add(place);
      return;
    }
    const sum = places.get(place) ?? { blocks: 0n, inodes: 0 };
    places.set(place, { blocks: sum.blocks + stat.blocks, inodes: sum.inodes + 1 });
  };
  const own = new Set(plan.places);
  const visit = (names: readonly string[], path: Buffer, place: string, stat: BigIntStats): void => {
    count(place, stat);
    if (!stat.isDirectory()) return;
    for (const name of list(path)) {
      const child = Buffer.concat([path, Buffer.from('/'), name]);
      if (mounted.has(child.toString())) continue;
      const info = stats(child);
      if (!info) continue;
      const deeper = names.length < 8 ? [...names, name.toString()] : names;
      visit(deeper, child, placeOf(deeper, place, plan, own), info);
    }
  };
  const stat = stats(Buffer.from(real));
  if (stat) visit([], Buffer.from(real), '', stat);
  const groups = new Map<string, { places: string[]; blocks: bigint; inodes: number }>();
  for (const file of linked.values()) {
    const names = [...file.places].sort();
    const key = names.join('\n');
    const sum = groups.get(key) ?? { places: names, blocks: 0n, inodes: 0 };
    groups.set(key, { places: names, blocks: sum.blocks + file.blocks, inodes: sum.inodes + 1 });
  }
  const extent = ({ blocks, inodes }: { blocks: bigint; inodes: number }): Extent => ({
    bytes: Number(blocks * 512n),
    inodes,
  });
  return {
    places: new Map([...places].map(([place, sum]) => [place, extent(sum)])),
    linked: [...groups.values()].map((group) => ({ places: group.places, ...extent(group) })),
  };
}

function placeOf(
  names: readonly string[],
  parent: string,
  plan: SurveyPlan,
  own: ReadonlySet<string>,
): string {
  const depth = plan.depths[names[0] ?? ''] ?? 1;
  if (names.length <= depth) return names.join('/');
  const last = names.at(-1) ?? '';
  if (names.length === depth + 1 && plan.parts.includes(last)) return names.join('/');
  return own.size > 0 && own.has(names.join('/')) ? names.join('/') : parent;
}

/** What cannot be read any more was removed meanwhile. */
function list(path: Buffer): Buffer[] {
  try {
    return readdirSync(path, { encoding: 'buffer' });
  } catch {
    return [];
  }
}

function stats(path: Buffer): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}
