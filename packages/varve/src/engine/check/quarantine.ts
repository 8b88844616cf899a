import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../../base/index.ts';
import type { EngineCore } from '../core.ts';
import type { Finding } from './finding.ts';

/** Folder of what was set aside: nothing is deleted that somebody may still want to look at. */
function quarantineFolder(root: string): string {
  return join(root, 'quarantine');
}

/** A place to move damaged things to: `quarantine/<kind>-<subject>-<time>/` with a note that says what it is and why. */
export function makeQuarantine(
  core: Pick<EngineCore, 'root'>,
  item: Pick<Finding, 'kind' | 'subject' | 'problem' | 'images'>,
): string {
  const subject = item.subject.replaceAll(/[^\w.-]+/g, '-').slice(-64);
  const time = new Date().toISOString().replaceAll(':', '');
  const folder = join(quarantineFolder(core.root), `${item.kind}-${subject}-${time}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileAtomic(join(folder, 'note.json'), `${JSON.stringify({ ...item, at: time }, null, 2)}\n`);
  return folder;
}
