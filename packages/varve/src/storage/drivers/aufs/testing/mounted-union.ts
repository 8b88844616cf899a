import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { getXattr, mountsBelow, unmount } from '../../../../linux/index.ts';
import { statisticsAttribute } from '../union/read-operations.ts';
import type { UnionStatistics } from '../union/serve-union.ts';
import { isServed, mountUnion } from '../union-mount.ts';

/** A union of a writable folder and some others, mounted for one test. */
export class MountedUnion implements AsyncDisposable {
  readonly folder = mkdtempSync('/var/tmp/varve-union-');
  readonly #lowers: number;

  private constructor(lowers: number) {
    this.#lowers = lowers;
    for (const path of [this.branch, this.root, ...this.lowers]) mkdirSync(path);
  }

  /** @param fill makes what the branches below hold, the topmost first. */
  static async mount(
    fill: readonly ((folder: string) => void)[],
    options: { readonly passthrough?: boolean } = {},
  ): Promise<MountedUnion> {
    const union = new MountedUnion(fill.length);
    fill.forEach((make, index) => make(union.lowers[index] as string));
    await union.remount(options);
    return union;
  }

  /** The writable branch. */
  get branch(): string {
    return join(this.folder, 'branch');
  }

  /** Topmost first. */
  get lowers(): string[] {
    return Array.from({ length: this.#lowers }, (_, index) => join(this.folder, `lower-${index}`));
  }

  /** Where it is mounted. */
  get root(): string {
    return join(this.folder, 'root');
  }

  get lockFile(): string {
    return join(this.folder, 'server');
  }

  at(path: string): string {
    return join(this.root, path);
  }

  async remount(options: { readonly passthrough?: boolean } = {}): Promise<void> {
    unmount(this.root, { detach: true });
    const { branch: writable, lowers: readOnly, root: target, lockFile } = this;
    const passthrough = options.passthrough ?? true;
    await mountUnion(
      { writable, readOnly, target, lockFile, passthrough, isReadOnly: false },
      () => undefined,
    );
  }

  statistics(): UnionStatistics {
    return JSON.parse(String(getXattr(this.root, statisticsAttribute))) as UnionStatistics;
  }

  /** All that the writable branch holds, but for AUFS's own folders. */
  held(): string[] {
    return (readdirSync(this.branch, { recursive: true }) as string[])
      .filter((path) => !/^\.wh\.\.wh\.(?:aufs|orph|plnk)/.test(path))
      .sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { target } of mountsBelow(this.folder).reverse()) unmount(target, { detach: true });
    const deadline = Date.now() + 10_000;
    while (isServed(this.lockFile) && Date.now() < deadline) await delay(2);
    rmSync(this.folder, { recursive: true });
  }
}

/** Something to stand on: files named by their path. */
export function makeLower(folder: string): void {
  mkdirSync(join(folder, 'dir/sub'), { recursive: true });
  mkdirSync(join(folder, 'empty'));
  for (const name of ['file', 'other', 'dir/a', 'dir/b', 'dir/sub/c'])
    writeFileSync(join(folder, name), name);
}

/** Runs a script that must succeed; gives what it printed. */
export function bash(cwd: string, script: string): string {
  return execFileSync('/bin/bash', ['-ec', script], { cwd, encoding: 'utf8' });
}
