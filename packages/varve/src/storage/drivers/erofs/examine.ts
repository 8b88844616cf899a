import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import type { DiffID } from '../../../oci/index.ts';
import { layout } from './layout.ts';

/** Says what is wrong with a layer that is kept as an archive: its bytes must hash to its DiffID, its index must be there. */
export async function examineArchive(
  path: string,
  diffId: DiffID | undefined,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const { tar, index } = layout(path);
  if (!existsSync(tar)) return `${tar} is not there`;
  if (!existsSync(index)) return `${index} is not there`;
  if (diffId === undefined) return undefined;
  const hash = createHash('sha256');
  const stream = createReadStream(tar, { highWaterMark: 1 << 20, ...(signal ? { signal } : {}) });
  for await (const chunk of stream) hash.update(chunk as Buffer);
  const found = `sha256:${hash.digest('hex')}`;
  return found === diffId ? undefined : `its archive hashes to ${found}`;
}
