import { existsSync } from 'node:fs';
import { isKind } from '../../base/index.ts';
import { verifyTree } from '../../layer/index.ts';
import type { LayerToApply } from '../types.ts';

/**
 * Says what is wrong with the folder that a layer was unpacked into; undefined when nothing is.
 * @param layer what to compare it with; without it only its being there is looked at.
 */
export async function examineFolder(
  folder: string,
  layer: LayerToApply | undefined,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  if (!existsSync(folder)) return `${folder} is not there`;
  // A blob that is damaged itself is told of by the content store.
  if (!layer || !existsSync(layer.path)) return undefined;
  try {
    const different = await verifyTree(layer, folder, signal ? { signal } : {});
    return different.length === 0 ? undefined : different.join(', ');
  } catch (error) {
    if (isKind(error, 'invalid')) return undefined;
    throw error;
  }
}
