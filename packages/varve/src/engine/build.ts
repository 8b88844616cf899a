import { mkdirSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { VarveError } from '../base/index.ts';
import { type BuildEvent, type BuildRequest, unpackContext } from '../builder/index.ts';
import { deleteInBackground } from '../storage/index.ts';
import type { EngineCore } from './core.ts';

/**
 * Builds an image of a context sent as a tar, in any compression. The context is unpacked into a folder of the data
 * root, confined to it, and removed when the iteration ends.
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
  const parent = join(core.root, 'tmp');
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  const folder = mkdtempSync(join(parent, 'context-'));
  try {
    await unpackContext(context, folder, request.signal ? { signal: request.signal } : {});
    for await (const event of core.build.build({ ...request, contextFolder: folder })) {
      if (event.type === 'done') {
        for (const tag of event.tags) core.events.publish('image', 'tag', event.image, { name: tag });
      }
      yield event;
    }
  } finally {
    await deleteInBackground(folder);
  }
}

/** Forgets all cached build steps and frees layers that only they held. @returns the keys of what went. */
export function pruneBuildCache(core: EngineCore): readonly string[] {
  const gone = core.build?.prune() ?? [];
  core.events.publish('builder', 'prune', '', { reclaimed: '0' });
  return gone.map((step) => step.key);
}
