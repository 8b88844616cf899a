import { randomBytes } from 'node:crypto';
import { readdirSync, renameSync, rmdirSync, unlinkSync } from 'node:fs';

/** Above this many bytes of path a folder is first moved up, since a container can nest deeper than PATH_MAX. */
const longPath = 3000;

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';

/**
 * Deletes a tree: no link is followed, names may be any bytes, any depth is reached. Goes on after a failure.
 * @throws the first failure, after all else is deleted.
 */
export function deleteTree(path: string): void {
  const roots = [Buffer.from(path)];
  const failures: unknown[] = [];
  const attempt = (action: () => void): void => {
    try {
      action();
    } catch (error) {
      if (!isMissing(error)) failures.push(error);
    }
  };
  const empty = (folder: Buffer): void => {
    let entries: ReturnType<typeof list> = [];
    attempt(() => {
      entries = list(folder);
    });
    for (const entry of entries) {
      const child = Buffer.concat([folder, Buffer.from('/'), entry.name]);
      if (!entry.isDirectory()) {
        attempt(() => unlinkSync(child));
      } else if (child.length > longPath) {
        const moved = Buffer.from(`${path}.${randomBytes(6).toString('hex')}`);
        attempt(() => {
          renameSync(child, moved);
          roots.push(moved);
        });
      } else {
        empty(child);
      }
    }
    attempt(() => rmdirSync(folder));
  };
  for (let root = roots.pop(); root; root = roots.pop()) empty(root);
  if (failures.length > 0) throw failures[0];
}

function list(folder: Buffer) {
  return readdirSync(folder, { withFileTypes: true, encoding: 'buffer' });
}
