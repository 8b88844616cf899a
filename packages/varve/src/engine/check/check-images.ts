import { throwIfAborted, VarveError } from '../../base/index.ts';
import type { LocalImage } from '../../image/index.ts';
import {
  type ChainID,
  chainIds,
  type Digest,
  familiarReference,
  layerCompression,
  parseReference,
} from '../../oci/index.ts';
import type { LayerToApply } from '../../storage/index.ts';
import type { EngineCore } from '../core.ts';
import { type CheckOptions, type Finding, finding } from './finding.ts';

/** Names of an image as people know them, or its id. */
export function imageName(image: Pick<LocalImage, 'id' | 'tags'>): string {
  const [tag] = image.tags;
  return tag === undefined ? image.id : familiarReference(parseReference(tag));
}

const blobProblems = {
  missing: 'recorded, but its file is not there',
  corrupt: 'its bytes are not those of its name',
  unrecorded: 'a file without a record',
} as const;

/** Ids of the images that need each blob. */
function usersOfBlobs(core: EngineCore): ReadonlyMap<Digest, readonly string[]> {
  const users = new Map<Digest, string[]>();
  for (const image of core.images.list())
    for (const digest of core.images.blobs(image))
      users.set(digest, [...(users.get(digest) ?? []), image.id]);
  return users;
}

/** Reads every blob, and looks for those that images need and that are not there. */
export async function checkBlobs(
  core: EngineCore,
  { signal, onProgress }: CheckOptions,
): Promise<{ readonly blobs: number; readonly bytes: number; readonly findings: readonly Finding[] }> {
  let total = 0;
  for await (const _blob of core.content.list()) total++;
  let done = 0;
  const report = await core.content.check({
    ...(signal ? { signal } : {}),
    onBlob: ({ digest }) => onProgress?.({ step: 'blobs', subject: digest, done: done++, total }),
  });
  const users = usersOfBlobs(core);
  const findings = report.problems.map(({ digest, problem }) =>
    finding(`blob-${problem}`, digest, blobProblems[problem], users.get(digest)),
  );
  const told = new Set(findings.map(({ subject }) => subject));
  for (const [digest, images] of users) {
    if (told.has(digest) || core.content.stat(digest)) continue;
    findings.push(finding('blob-missing', digest, 'an image needs it, and it is not there', images));
  }
  return { blobs: report.blobs, bytes: report.bytes, findings };
}

/** Compares the records of images with blobs and layers. */
export function checkImages(core: EngineCore): Finding[] {
  const { images, content, driver } = core;
  const findings = images
    .unreadable()
    .map((id) => finding('image-record-unreadable', id, 'its record cannot be read'));
  for (const image of images.list()) {
    const name = imageName(image);
    if (!content.stat(image.id)) {
      findings.push(finding('image-config-missing', name, `its config ${image.id} is not there`, [image.id]));
    }
    for (const diffId of image.config.rootfs.diff_ids) {
      if (!images.layer(diffId))
        findings.push(finding('layer-record-missing', name, `layer ${diffId} has no record`, [image.id]));
    }
    for (const [index, chain] of chainIds(image.config.rootfs.diff_ids).entries()) {
      if (!driver.has(chain))
        findings.push(
          finding('layer-missing', chain, `layer ${index + 1} of ${name} is not in the storage driver`, [
            image.id,
          ]),
        );
    }
  }
  return findings;
}

/** What each ChainID that an image has is unpacked from. */
export function layersOfImages(core: EngineCore): ReadonlyMap<ChainID, LayerToApply> {
  const layers = new Map<ChainID, LayerToApply>();
  const stacks = [
    ...core.images.list().map(({ config }) => config.rootfs.diff_ids),
    ...(core.build?.layerRoots() ?? []),
  ];
  for (const diffIds of stacks) {
    const chain = chainIds(diffIds);
    for (const [index, chainId] of chain.entries()) {
      const layer = core.images.layer(diffIds[index] as (typeof diffIds)[number]);
      if (!layer || !core.content.stat(layer.blob.digest)) continue;
      layers.set(chainId, {
        chainId,
        parent: chain[index - 1],
        diffId: layer.diffId,
        path: core.content.path(layer.blob.digest),
        compression: layerCompression(layer.blob.mediaType) ?? 'auto',
      });
    }
  }
  return layers;
}

const snapshotKinds = {
  'record-unreadable': 'snapshot-record-unreadable',
  'parent-missing': 'layer-parent-missing',
  damaged: 'layer-damaged',
  'mount-leaked': 'mount-leaked',
  leftover: 'leftover',
} as const;

/** Compares what the storage driver holds with the layers it was made from, and with who needs it. */
export async function checkLayers(
  core: EngineCore,
  { signal, onProgress }: CheckOptions,
): Promise<Finding[]> {
  const { driver, containers } = core;
  const layers = layersOfImages(core);
  const users = new Map<string, string[]>();
  for (const image of core.images.list())
    for (const chain of chainIds(image.config.rootfs.diff_ids))
      users.set(chain, [...(users.get(chain) ?? []), image.id]);
  const total = Array.from(driver.list()).length;
  let done = 0;
  // A damaged blob is no measure; it is a finding of its own.
  const problems = await driver.check?.({
    ...(signal ? { signal } : {}),
    layerOf: (chainId) => layers.get(chainId),
    onSnapshot: (subject) => onProgress?.({ step: 'layers', subject, done: done++, total }),
  });
  const findings = (problems ?? []).map(({ kind, subject, detail }) =>
    finding(
      kind === 'damaged' && containers.has(subject) ? 'container-layer-missing' : snapshotKinds[kind],
      subject,
      detail,
      users.get(subject),
    ),
  );
  throwIfAborted(signal);
  const needed = new Set<string>([...users.keys(), ...layers.keys()]);
  for (const diffIds of core.build?.layerRoots() ?? [])
    for (const chain of chainIds(diffIds)) needed.add(chain);
  const parents = new Set(Array.from(driver.list(), ({ parent }) => parent));
  for (const { key, kind } of Array.from(driver.list())) {
    if (kind === 'committed' && !needed.has(key) && !parents.has(key as ChainID))
      findings.push(finding('layer-orphan', key, 'no image, container or cached step needs it'));
  }
  return findings;
}

/** The text of whatever was thrown. */
export function messageOf(error: unknown): string {
  return VarveError.from(error).message;
}
