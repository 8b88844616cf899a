import { mkdirSync, writeFileSync } from 'node:fs';
import { mount, mountFlags, unmount } from '../../linux/index.ts';
import { TemporaryFolder } from '../testing/tree.ts';
import { type StoredLayer, storeLayer } from '../index.ts';

/** A stored layer, mounted by the kernel. */
export class MountedIndex implements Disposable {
  readonly folder = new TemporaryFolder();
  readonly root = this.folder.join('mounted');
  readonly tar = this.folder.join('diff.tar');
  readonly index = this.folder.join('index.erofs');
  #mounted = false;

  static async of(archive: Buffer, bottom = false): Promise<MountedIndex> {
    const made = new MountedIndex();
    try {
      await made.store(archive, bottom);
      made.mount();
      return made;
    } catch (error) {
      made[Symbol.dispose]();
      throw error;
    }
  }

  async store(archive: Buffer, bottom = false): Promise<StoredLayer> {
    const path = this.folder.join('layer');
    writeFileSync(path, archive);
    return await storeLayer({ path, compression: 'auto' }, { tar: this.tar, index: this.index, bottom });
  }

  mount(): void {
    mkdirSync(this.root, { recursive: true });
    mount(this.index, this.root, 'erofs', mountFlags.readOnly, `device=${this.tar}`);
    this.#mounted = true;
  }

  [Symbol.dispose](): void {
    if (this.#mounted) unmount(this.root, { detach: true });
    this.folder[Symbol.dispose]();
  }
}
