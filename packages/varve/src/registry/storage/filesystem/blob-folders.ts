import { closeSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { openFile, renameFile, syncAll, syncFolder } from './files.ts';

/** The folders that blobs are in, at most 256 for each algorithm: made when first needed, then kept open for their fsync. */
export class BlobFolders {
  readonly #open = new Map<string, Promise<number>>();
  /** Of folders that somebody removed. */
  readonly #stale: Promise<number>[] = [];

  /** Gives a file its name. When it returns, the name survives power loss. */
  async moveIn(from: string, to: string): Promise<void> {
    const folder = dirname(to);
    let opened = await this.#use(folder);
    try {
      await renameFile(from, to);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || !(await makeFolder(folder))) throw error;
      const before = this.#open.get(folder);
      if (before) this.#stale.push(before);
      this.#open.delete(folder);
      opened = await this.#use(folder);
      await renameFile(from, to);
    }
    await syncAll(opened);
  }

  /** To be called when nothing is being moved in. */
  async close(): Promise<void> {
    const open = await Promise.allSettled([...this.#open.values(), ...this.#stale]);
    this.#open.clear();
    this.#stale.length = 0;
    for (const folder of open) if (folder.status === 'fulfilled') closeSync(folder.value);
  }

  #use(folder: string): Promise<number> {
    let opened = this.#open.get(folder);
    if (!opened) {
      opened = makeFolder(folder).then(() => openFile(folder, 'r'));
      this.#open.set(folder, opened);
      opened.catch(() => this.#open.delete(folder));
    }
    return opened;
  }
}

/** Makes a folder that survives power loss. @returns whether it was not there */
async function makeFolder(folder: string): Promise<boolean> {
  const created = await mkdir(folder, { recursive: true, mode: 0o750 });
  if (created === undefined) return false;
  await syncFolder(dirname(folder));
  await syncFolder(dirname(dirname(folder)));
  return true;
}
