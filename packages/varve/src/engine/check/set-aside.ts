import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../../base/index.ts';
import { unmount } from '../../linux/index.ts';
import type { EngineCore } from '../core.ts';
import { containerFolder } from '../folders.ts';
import type { Finding } from './finding.ts';
import { makeQuarantine } from './quarantine.ts';

/**
 * Moves all there is of a container that cannot be known any more to the quarantine: its writable layer, its files, the text of its
 * record. @returns the folder there.
 */
export async function setContainerAside(
  core: EngineCore,
  item: Pick<Finding, 'kind' | 'subject' | 'problem'>,
): Promise<string> {
  const id = item.subject;
  const folder = makeQuarantine(core, item);
  const text = core.containers.unreadable.get(id);
  if (text !== undefined) writeFileAtomic(join(folder, 'record.txt'), text);
  await core.runtime.delete(id).catch(() => undefined);
  await core.driver.unmount(id);
  await core.driver.setAside?.(id, join(folder, 'snapshot'));
  const files = containerFolder(core, id);
  unmount(join(files, 'shm'), { detach: true });
  if (existsSync(files)) renameSync(files, join(folder, 'files'));
  if (text !== undefined) core.containers.forget(id);
  return folder;
}
