import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { VarveError } from '../base/index.ts';
import { type BuildEvent, type BuildRequest, unpackContext } from '../builder/index.ts';
import { spreadFolders } from '../linux/index.ts';
import { deleteInBackground } from '../storage/index.ts';
import type { EngineCore } from './core.ts';

/**
 * Builds an image of a context sent as a tar, in any compression. The context is unpacked into a folder of the data
 * root, confined to it, and removed after the iteration ends.
 * @throws VarveError `not-implemented` when the engine was composed without a builder; `invalid` for a bad archive.
 */
export async function* buildImage(
  core: EngineCore,
  context: Readable,
  request: Omit<BuildRequest, 'contextFolder'>,
): AsyncGenerator<BuildEvent> {
  if (!core.build) {
    throw new VarveError('not-implemented', 'NO_BUILDER', 'this engine was started without a builder');
  }
  const parent = makeContextsFolder(core.root);
  const folder = mkdtempSync(join(parent, 'context-'));
  try {
    const { hashes } = await unpackContext(context, folder, request.signal ? { signal: request.signal } : {});
    const build = core.build.build({ ...request, contextFolder: folder, contextHashes: hashes });
    for await (const event of build) {
      if (event.type === 'done') {
        for (const tag of event.tags) core.events.publish('image', 'tag', event.image, { name: tag });
      }
      yield event;
    }
  } finally {
    // Nobody waits for this: what an engine's end leaves is swept at its next start.
    deleteInBackground(folder).catch((error: unknown) =>
      core.log('warn', 'a build context was not removed', { folder, error: String(error) }),
    );
  }
}

/** Forgets all cached build steps and frees layers that only they held. @returns their keys, and the bytes of blobs freed. */
export async function pruneBuildCache(
  core: EngineCore,
): Promise<{ readonly deleted: readonly string[]; readonly bytes: number }> {
  const gone = core.build?.prune() ?? [];
  const bytes = gone.length === 0 ? 0 : await core.images.collect();
  core.events.publish('builder', 'prune', '', { reclaimed: String(bytes) });
  return { deleted: gone.map((step) => step.key), bytes };
}

/** Removes contexts that a killed engine left unpacked. */
export function removeLeftContexts(root: string): void {
  rmSync(contextsFolder(root), { recursive: true, force: true });
}

/**
 * ext4 does not give out inodes again that were freed within some minutes, and looks at each of them for every file it
 * makes nearby: without spreading, one build after another took a quarter of its time there.
 */
function makeContextsFolder(root: string): string {
  const folder = contextsFolder(root);
  if (mkdirSync(folder, { recursive: true, mode: 0o700 }) === undefined) return folder;
  const fd = openSync(folder, 'r');
  spreadFolders(fd);
  closeSync(fd);
  return folder;
}

function contextsFolder(root: string): string {
  return join(root, 'tmp');
}
