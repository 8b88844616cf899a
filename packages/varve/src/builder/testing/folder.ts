import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** A folder of a test, gone when it is disposed. On /var/tmp, since overlay mounts need a disk file system. */
export class TestFolder implements Disposable {
  readonly path = mkdtempSync('/var/tmp/varve-builder-');

  /** Writes files by name; what ends with `/` is a folder. */
  write(files: Readonly<Record<string, string>>, below = ''): string {
    const root = join(this.path, below);
    mkdirSync(root, { recursive: true });
    for (const [name, content] of Object.entries(files)) {
      const path = join(root, name);
      mkdirSync(name.endsWith('/') ? path : dirname(path), { recursive: true });
      if (!name.endsWith('/')) writeFileSync(path, content);
    }
    return root;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
