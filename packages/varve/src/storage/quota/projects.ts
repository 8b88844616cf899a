import { closeSync, constants, openSync } from 'node:fs';
import { check, enforcesProjectQuota, isProjectUsed, limitProject, setProjectId } from '../../linux/index.ts';

/** Ids below are left to administrators, whose /etc/projid starts low, and to Docker, which counts up from its folder's. */
const firstProject = 0x10_0000;

/** Limits by project quota, on a file system that has them. */
export class Projects {
  #next = firstProject;

  /** Whether the file system of a folder holds projects to their limits now. */
  static areEnforced(folder: string): boolean {
    return withFolder(folder, (fd) => enforcesProjectQuota(fd) === true);
  }

  /** Lets what will be in these empty folders take `bytes` together. */
  limit(folders: readonly string[], bytes: number): void {
    const [first] = folders;
    if (first === undefined) return;
    const id = withFolder(first, (fd) => this.#freeId(fd));
    for (const folder of folders) {
      withFolder(folder, (fd) => check(setProjectId(fd, id), 'FS_IOC_FSSETXATTR', folder));
    }
    withFolder(first, (fd) => check(limitProject(fd, id, bytes), 'quotactl Q_XSETQLIM', first));
  }

  /** The ids of snapshots that are gone are free again: nothing counts against them. */
  #freeId(fd: number): number {
    for (;;) {
      const id = this.#next++;
      const used = isProjectUsed(fd, id);
      if (typeof used === 'number') check(used, 'quotactl Q_XGETQUOTA', String(id));
      if (used === false) return id;
    }
  }
}

function withFolder<T>(path: string, work: (fd: number) => T): T {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    return work(fd);
  } finally {
    closeSync(fd);
  }
}
