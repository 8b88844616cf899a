import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { isKind } from '../../base/index.ts';
import { run, unmount } from '../../linux/index.ts';
import { type ChainID, type Digest, familiarReference, parseReference } from '../../oci/index.ts';
import type { SnapshotProblem } from '../../storage/index.ts';
import type { EngineCore } from '../core.ts';
import { containerFolder } from '../folders.ts';
import { imageName, layersOfImages, messageOf } from './check-images.ts';
import type { CheckOptions, Finding, FindingKind, Repair } from './finding.ts';
import { makeQuarantine } from './quarantine.ts';
import { setContainerAside } from './set-aside.ts';

type Mend = (core: EngineCore, item: Finding, signal: AbortSignal | undefined) => Promise<Repair>;

const failed = (detail: string): Repair => ({ action: 'failed', detail });

/** Fetches the images that suffer from a finding, by digest, so that they come back as they were. */
async function pullAgain(core: EngineCore, item: Finding, signal?: AbortSignal): Promise<Repair> {
  const notes: string[] = [];
  const whole = (id: string): boolean => {
    const image = core.images.get(id as Digest);
    return image !== undefined && core.images.blobs(image).every((digest) => core.content.stat(digest));
  };
  for (const id of item.images ?? []) {
    const image = core.images.get(id as Digest);
    if (!image || whole(id)) continue;
    if (await core.images.remakeManifest(image).catch(() => false)) {
      notes.push(`the manifest of ${imageName(image)} was written again`);
      if (whole(id)) continue;
    }
    for (const reference of image.digests) {
      const name = familiarReference(parseReference(reference));
      try {
        await core.images.pull(name, signal ? { signal } : {});
        notes.push(`pulled ${name}`);
        break;
      } catch (error) {
        if (isKind(error, 'cancelled')) throw error;
        notes.push(`${name}: ${messageOf(error)}`);
      }
    }
    if (!whole(id) && image.digests.length === 0)
      notes.push(`${imageName(image)} was made here and is in no registry`);
  }
  const all = (item.images ?? []).every(whole);
  return { action: all ? 'pulled' : 'failed', detail: notes.join('; ') };
}

const setBlobAside: Mend = async (core, item, signal) => {
  const digest = item.subject as Digest;
  const folder = makeQuarantine(core, item);
  core.content.quarantine(digest, join(folder, digest.replace(':', '-')));
  if ((item.images ?? []).length === 0) return { action: 'set aside', detail: folder };
  const pulled = await pullAgain(core, item, signal);
  return { ...pulled, detail: `set aside in ${folder}; ${pulled.detail}` };
};

/** Unpacks what is missing of the images, from blobs that are here. */
const unpackAgain: Mend = async (core, item, signal) => {
  for (const id of item.images ?? []) {
    const image = core.images.get(id as Digest);
    if (image) await core.images.unpack(image, signal ? { signal } : {});
  }
  return { action: 'made anew', detail: 'unpacked from its blob' };
};

const rederive: Mend = async (core, item, signal) => {
  const layer = layersOfImages(core).get(item.subject as ChainID);
  if (!layer) return failed('its blob is not here');
  const folder = makeQuarantine(core, item);
  if (!core.driver.rederive) return failed(`the storage driver ${core.driver.name} cannot`);
  await core.driver.rederive(layer, join(folder, 'snapshot'), signal ? { signal } : {});
  return { action: 'made anew', detail: `unpacked from its blob; the old one is in ${folder}` };
};

/** The driver's own findings, in its words. */
const snapshotKinds: Partial<Record<FindingKind, SnapshotProblem['kind']>> = {
  'snapshot-record-unreadable': 'record-unreadable',
  'mount-leaked': 'mount-leaked',
  leftover: 'leftover',
};

const clearSnapshot: Mend = async (core, item) => {
  const kind = snapshotKinds[item.kind];
  const folder = kind === 'record-unreadable' ? makeQuarantine(core, item) : '';
  const problem = { kind: kind ?? 'leftover', subject: item.subject, detail: item.problem };
  const done = await core.driver.clear?.(problem, join(folder, 'snapshot'));
  if (!done) return failed('it is in use, or gone');
  return folder === '' ? { action: 'removed', detail: '' } : { action: 'set aside', detail: folder };
};

const endMount: Mend = async (core, item, signal) => {
  if (!item.subject.includes('/containers/')) return await clearSnapshot(core, item, signal);
  unmount(item.subject, { detach: true });
  return { action: 'removed', detail: 'unmounted' };
};

const setAside: Mend = async (core, item) => ({
  action: 'set aside',
  detail: await setContainerAside(core, item),
});

/** What a container wrote is lost; it gets an empty writable layer, so that it can be started, inspected and removed. */
const giveLayer: Mend = async (core, item, signal) => {
  const container = core.containers.resolve(item.subject);
  if (container.running) return failed('it runs');
  const image = core.images.get(container.record.imageId);
  if (!image) return failed('its image is not here');
  const parent = await core.images.unpack(image, signal ? { signal } : {});
  let detail = 'what it had written is lost';
  if (core.driver.has(container.id)) {
    const folder = makeQuarantine(core, item);
    await core.driver.setAside?.(container.id, join(folder, 'snapshot'));
    detail = `what it had written is in ${folder}`;
  }
  await core.driver.prepare(container.id, parent);
  return { action: 'made anew', detail };
};

const collect: Mend = async (core) => {
  await core.images.collect();
  return { action: 'removed', detail: '' };
};

const mendVolume: Mend = async (core, item) => {
  const problem = core.volumes.check().find(({ name }) => name === item.subject);
  if (!problem) return { action: 'recorded', detail: '' };
  return (await core.volumes.mend(problem))
    ? { action: 'recorded', detail: '' }
    : failed('move it elsewhere');
};

const clearNetwork: Mend = async (core, item) => {
  await core.networks.clearLeftover({ kind: item.kind.replace('-leaked', ''), name: item.subject });
  return { action: 'removed', detail: '' };
};

const reconcile: Mend = async (core) => {
  core.content.reconcile();
  return { action: 'recorded', detail: '' };
};

const rebuild: Mend = async (core, item, signal) => {
  const made = await core.images.rebuild(signal ? { signal } : {});
  return made.includes(item.subject as Digest)
    ? { action: 'recorded', detail: 'from its blobs' }
    : failed('its blobs are not all here');
};

/** In the order in which they are done: mounts before folders, records before blobs, blobs before what is made of them. */
const mends: Readonly<Record<FindingKind, Mend | undefined>> = {
  'mount-leaked': endMount,
  'loop-leaked': async (_core, { subject }) => {
    await run('losetup', ['-d', subject]);
    return { action: 'removed', detail: 'detached' };
  },
  'endpoint-leaked': clearNetwork,
  'device-leaked': clearNetwork,
  'namespace-leaked': clearNetwork,
  'blob-unrecorded': reconcile,
  'blob-corrupt': setBlobAside,
  'blob-missing': pullAgain,
  'image-record-unreadable': rebuild,
  'image-config-missing': pullAgain,
  'layer-record-missing': unpackAgain,
  'snapshot-record-unreadable': clearSnapshot,
  'layer-parent-missing': unpackAgain,
  'layer-missing': unpackAgain,
  'layer-damaged': rederive,
  'container-record-unreadable': setAside,
  'container-folder-orphan': setAside,
  'container-layer-missing': giveLayer,
  'container-image-missing': undefined,
  'container-folder-missing': async (core, { subject }) => {
    mkdirSync(containerFolder(core, subject), { recursive: true, mode: 0o710 });
    return { action: 'made anew', detail: 'its log is lost' };
  },
  'container-bundle-missing': undefined,
  'volume-record-unreadable': mendVolume,
  'volume-folder-missing': mendVolume,
  'volume-unrecorded': mendVolume,
  'volume-foreign': undefined,
  leftover: clearSnapshot,
  'snapshot-orphan': setAside,
  'layer-orphan': collect,
};

/** Does something about each finding. @returns them with what was done. */
export async function repairFindings(
  core: EngineCore,
  findings: readonly Finding[],
  { signal, onProgress }: CheckOptions,
): Promise<Finding[]> {
  const order = Object.keys(mends);
  const sorted = findings.toSorted((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
  const repaired: Finding[] = [];
  for (const [done, item] of sorted.entries()) {
    onProgress?.({ step: 'repair', subject: item.subject, done, total: sorted.length });
    repaired.push({ ...item, repair: await mend(core, item, signal) });
  }
  return repaired;
}

async function mend(core: EngineCore, item: Finding, signal: AbortSignal | undefined): Promise<Repair> {
  const work = mends[item.kind];
  if (!work) return failed(item.todo);
  try {
    return await work(core, item, signal);
  } catch (error) {
    if (isKind(error, 'cancelled')) throw error;
    core.log('warn', 'a repair failed', { kind: item.kind, subject: item.subject, error: messageOf(error) });
    return failed(messageOf(error));
  }
}
