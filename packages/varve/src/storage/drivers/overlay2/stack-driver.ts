import { chmodSync, chownSync, mkdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { VarveError } from '../../../base/index.ts';
import type { DiffSource, RootAttributes } from '../../../layer/index.ts';
import { bindMount, unmountInBackground } from '../../../linux/index.ts';
import type { ChainID } from '../../../oci/index.ts';
import { makeRootFolder } from '../../tree/folders.ts';
import type { Snapshot, Staging } from '../../tree/snapshot-tree.ts';
import { type FillOptions, TreeDriver } from '../../tree/tree-driver.ts';
import { layout } from './layout.ts';
import { mountOverlay } from './overlay-mount.ts';

/**
 * What drivers have in common that show a snapshot as a stack of folders, one a layer, by overlayfs: `diff` in a snapshot's
 * folder is its layer, the upper folder while it is active.
 */
export abstract class StackDriver extends TreeDriver {
  /** Owner and mode of the root that a stack shows; undefined where no layer says so. */
  protected abstract rootOf(top: ChainID | undefined): RootAttributes | undefined;
  /** Called before a stack is mounted, topmost layer first: the last moment at which a layer may change. */
  protected readyStack(_snapshot: Snapshot, _below: readonly Snapshot[]): void {}

  metadata(key: string): Record<string, string> {
    const snapshot = this.tree.require(key);
    const { diff, work, merged } = layout(snapshot);
    const lowers = this.diffsFrom(snapshot.parent);
    return {
      ...(lowers.length > 0 ? { LowerDir: lowers.join(':') } : {}),
      MergedDir: merged,
      UpperDir: diff,
      WorkDir: work,
    };
  }

  protected async fill(staging: Staging, parent: ChainID | undefined, { limit }: FillOptions): Promise<void> {
    const { diff, work } = layout(staging);
    makeRootFolder(diff);
    mkdirSync(work, { mode: 0o700 });
    limit([diff, work]);
    // The merged root shows the upper's own attributes. Owner first: chown(2) clears set-id bits.
    const root = this.rootOf(parent);
    if (!root) return;
    chownSync(diff, root.uid, root.gid);
    chmodSync(diff, root.mode);
  }

  protected attach(snapshot: Snapshot, target: string, readOnly: boolean): void {
    const { diff, work } = layout(snapshot);
    const below = this.tree.chain(snapshot.parent);
    if (below.length === 0) {
      bindMount(diff, target, { readOnly });
      return;
    }
    const isActive = snapshot.kind === 'active';
    this.readyStack(snapshot, below);
    mountOverlay({
      base: this.tree.folder,
      lowers: lowersOf(isActive ? below : [snapshot, ...below]),
      ...(isActive ? { upper: { path: diff, work } } : {}),
      target,
      attributes: { readOnly },
    });
  }

  protected ownFolder(snapshot: Snapshot): string {
    return layout(snapshot).diff;
  }

  protected diffSource(snapshot: Snapshot): DiffSource {
    return { kind: 'overlay', upper: layout(snapshot).diff, lowers: this.diffsFrom(snapshot.parent) };
  }

  /**
   * The upper folder is the diff, unless an overlay mounted with `redirect_dir` or `metacopy` has written there: then a
   * moved folder is an empty one with a reference, and a changed file may lack its bytes. What such a stack shows is compared
   * with what the parent shows.
   */
  protected override async withDiffSource<T>(
    snapshot: Snapshot,
    work: (source: DiffSource) => Promise<T>,
  ): Promise<T> {
    try {
      return await super.withDiffSource(snapshot, work);
    } catch (error) {
      if (!VarveError.is(error) || error.code !== 'OVERLAY_REDIRECT') throw error;
      return await this.#withViews(snapshot, work);
    }
  }

  async #withViews<T>(snapshot: Snapshot, work: (source: DiffSource) => Promise<T>): Promise<T> {
    const staging = this.tree.stage();
    const at = (name: string): string => join(staging.path, name);
    const view = (name: string, stack: readonly Snapshot[]): void => {
      mkdirSync(at(name));
      mountOverlay({
        base: this.tree.folder,
        // An overlay without an upper folder takes two lower ones.
        lowers: [...lowersOf(stack), { id: 'empty', path: at('empty') }],
        target: at(name),
        attributes: { readOnly: true },
        follow: true,
      });
    };
    const below = this.tree.chain(snapshot.parent);
    try {
      mkdirSync(at('empty'));
      view('upper', [snapshot, ...below]);
      view('lower', below);
      return await work({ kind: 'trees', upper: at('upper'), lower: at('lower') });
    } finally {
      for (const name of ['upper', 'lower']) await unmountInBackground(at(name), { detach: true });
      this.tree.abandon(staging);
    }
  }

  protected async seal(snapshot: Snapshot): Promise<void> {
    await rm(layout(snapshot).work, { recursive: true, force: true });
  }

  /** The layers' folders from `top` down. */
  protected diffsFrom(top: ChainID | undefined): string[] {
    return this.tree.chain(top).map((layer) => layout(layer).diff);
  }
}

function lowersOf(stack: readonly Snapshot[]): { readonly id: string; readonly path: string }[] {
  return stack.map((layer) => ({ id: layer.id, path: layout(layer).diff }));
}
