import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** How control groups are mounted on this machine (cgroups(7)). */
export interface CgroupLayout {
  /** 2 when resources are controlled by the unified hierarchy, 1 otherwise (also in hybrid mode). */
  readonly version: 1 | 2;
  /** Mount point of each v1 controller, and of named hierarchies as `name=systemd`. */
  readonly controllers: ReadonlyMap<string, string>;
  /** Mount point of the unified hierarchy, if there is one. */
  readonly unified: string | undefined;
  /** Controllers that the unified hierarchy offers. With version 1 and at least one of these the machine is "hybrid", which crun refuses. */
  readonly unifiedControllers: readonly string[];
}

const known = new Set(
  'cpu cpuacct cpuset memory devices freezer blkio pids net_cls net_prio perf_event hugetlb rdma misc'.split(
    ' ',
  ),
);

/** Reads a layout from the text of /proc/self/mountinfo (proc(5)). */
export function parseCgroupMounts(
  mountinfo: string,
): Pick<CgroupLayout, 'version' | 'controllers' | 'unified'> {
  const controllers = new Map<string, string>();
  let unified: string | undefined;
  for (const line of mountinfo.split('\n')) {
    const [before, after] = line.split(' - ');
    if (before === undefined || after === undefined) continue;
    const [, , , root, point] = before.split(' ');
    const [type, , options] = after.split(' ');
    if (point === undefined || root === undefined || root.startsWith('/..')) continue;
    if (type === 'cgroup2') unified ??= point;
    if (type !== 'cgroup') continue;
    for (const option of (options ?? '').split(',')) {
      if ((known.has(option) || option.startsWith('name=')) && !controllers.has(option)) {
        controllers.set(option, point);
      }
    }
  }
  return { version: unified !== undefined && controllers.size === 0 ? 2 : 1, controllers, unified };
}

/** The layout of this machine. */
export function readCgroupLayout(): CgroupLayout {
  const mounts = parseCgroupMounts(readFileSync('/proc/self/mountinfo', 'utf8'));
  const offered =
    mounts.unified === undefined
      ? ''
      : (readCgroupFile(join(mounts.unified, 'cgroup.controllers')) ?? '').trim();
  return { ...mounts, unifiedControllers: offered === '' ? [] : offered.split(' ') };
}

/** Content of a control file; undefined when it is absent or its group is gone (ENODEV). */
export function readCgroupFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** Folder of group `path` (such as `/varve/<id>`) for a controller; undefined when the controller is not mounted. */
export function cgroupFolder(layout: CgroupLayout, path: string, controller: string): string | undefined {
  const point = layout.version === 2 ? layout.unified : layout.controllers.get(controller);
  return point === undefined ? undefined : join(point, path);
}

function everyFolder(layout: CgroupLayout, path: string): string[] {
  const points = new Set(layout.controllers.values());
  if (layout.unified !== undefined) points.add(layout.unified);
  return [...points].map((point) => join(point, path));
}

/**
 * Moves a process into group `path` of every hierarchy, making the groups. cpuset is left alone: an empty v1 cpuset
 * takes no process. A hierarchy that refuses is skipped, the process then stays where its parent is.
 */
export function joinCgroup(layout: CgroupLayout, path: string, pid: number): void {
  const cpuset = layout.controllers.get('cpuset');
  for (const folder of everyFolder(layout, path)) {
    if (cpuset !== undefined && folder === join(cpuset, path)) continue;
    try {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'cgroup.procs'), String(pid));
    } catch {
      // Delegation differs between hierarchies; accounting with the daemon is the harmless outcome.
    }
  }
}

/** Pids in group `path` and the groups below it, ascending. */
export function cgroupProcesses(layout: CgroupLayout, path: string): number[] {
  const first = layout.controllers.has('pids') ? 'pids' : (layout.controllers.keys().next().value ?? '');
  const folder = cgroupFolder(layout, path, first);
  const pids = new Set<number>();
  const visit = (at: string, depth: number): void => {
    for (const line of (readCgroupFile(join(at, 'cgroup.procs')) ?? '').split('\n')) {
      if (line !== '') pids.add(Number(line));
    }
    if (depth > 16) return;
    for (const child of childGroups(at)) visit(child, depth + 1);
  };
  if (folder !== undefined) visit(folder, 0);
  return [...pids].sort((a, b) => a - b);
}

function childGroups(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(folder, entry.name));
  } catch {
    return [];
  }
}

/** Removes group `path` and what is below it from every hierarchy; groups that still hold processes stay. True when none is left. */
export function removeCgroup(layout: CgroupLayout, path: string): boolean {
  const remove = (folder: string): boolean => {
    childGroups(folder).forEach(remove);
    try {
      rmdirSync(folder);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ENOENT';
    }
    return true;
  };
  return everyFolder(layout, path).map(remove).every(Boolean);
}
