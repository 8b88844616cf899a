import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { listMounts } from '../../linux/index.ts';
import type { EngineCore } from '../core.ts';
import { containerFolder } from '../folders.ts';
import { type Finding, finding } from './finding.ts';

const volumeKinds = {
  'record-unreadable': ['volume-record-unreadable', 'its record cannot be read'],
  missing: ['volume-folder-missing', 'it has no folder'],
  unrecorded: ['volume-unrecorded', 'a folder without a record'],
  foreign: ['volume-foreign', 'no volume can have this name'],
} as const;

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Milliseconds for which a folder may be that of a container that has no record yet. */
const grace = 10_000;

/** True also for what is gone. */
function isNew(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined || Date.now() - stat.birthtimeMs < grace;
}

/** Compares the records of containers and volumes with layers, folders and the runtime. */
export async function checkContainers(core: EngineCore): Promise<Finding[]> {
  const { containers, driver, runtime } = core;
  // What is on its way out is no orphan.
  await core.cleanups.settled();
  const findings = [...containers.unreadable.keys()].map((id) =>
    finding('container-record-unreadable', id, 'its record cannot be read'),
  );
  const known = new Set(await runtime.list());
  for (const container of containers.list()) {
    const { id, record } = container;
    if (container.removal) continue;
    if (!driver.has(id))
      findings.push(finding('container-layer-missing', id, 'its writable layer is not there'));
    if (!core.images.get(record.imageId))
      findings.push(finding('container-image-missing', id, `its image ${record.imageId} is not there`));
    if (!existsSync(containerFolder(core, id)))
      findings.push(finding('container-folder-missing', id, `${containerFolder(core, id)} is not there`));
    if (container.running && !known.has(id))
      findings.push(finding('container-bundle-missing', id, 'it runs, and the runtime does not know it'));
  }
  for (const id of list(join(core.root, 'containers'))) {
    if (containers.has(id) || containers.unreadable.has(id)) continue;
    if (isNew(join(core.root, 'containers', id))) continue;
    findings.push(finding('container-folder-orphan', id, 'a folder without a container'));
  }
  for (const { kind, name } of core.volumes.check()) {
    const [as, problem] = volumeKinds[kind];
    findings.push(finding(as, name, problem));
  }
  return findings;
}

/** Ids of the containers that run or are about to. */
function alive(core: EngineCore): string[] {
  return core.containers
    .list()
    .filter((container) => container.running || container.rootfs !== undefined)
    .map(({ id }) => id);
}

/** Finds what containers that do not run left on the host: mounts, loop devices, network devices and namespaces. */
export function checkLeaks(core: EngineCore): Finding[] {
  const root = realpathSync(core.root);
  const running = new Set(alive(core));
  const findings: Finding[] = [];
  for (const { target } of listMounts()) {
    const [top, id] = target.startsWith(`${root}/`) ? target.slice(root.length + 1).split('/') : [];
    if (top !== 'containers' || id === undefined || running.has(id)) continue;
    findings.push(finding('mount-leaked', target, 'of a container that does not run'));
  }
  for (const device of list('/sys/block').filter((name) => name.startsWith('loop'))) {
    const file = backingFile(device);
    if (file?.startsWith(`${root}/`) && file.endsWith(' (deleted)'))
      findings.push(finding('loop-leaked', `/dev/${device}`, `it shows ${file}`));
  }
  for (const { kind, name } of core.networks.leftovers(running)) {
    // Steps of a build have networks and no container.
    if (kind === 'namespace' && core.build && !core.containers.has(name)) continue;
    findings.push(finding(`${kind}-leaked`, name, 'of a container that does not run'));
  }
  return findings;
}

function backingFile(device: string): string | undefined {
  try {
    return readFileSync(`/sys/block/${device}/loop/backing_file`, 'utf8').trim();
  } catch {
    return undefined;
  }
}
