import { mapLimit, VarveError } from '../base/index.ts';
import type { ContentStore } from '../content/index.ts';
import type { RegistryClient, RemoteRepository } from '../distribution/index.ts';
import {
  canonicalName,
  type Descriptor,
  type DiffID,
  type Digest,
  familiarReference,
  type Manifest,
  parseManifestDocument,
  parseReference,
  type Reference,
  withDefaultTag,
} from '../oci/index.ts';
import type { ImageRecords } from './records.ts';
import type { LocalImage, TransferEvent, TransferOptions } from './types.ts';

/** Layers sent at the same time, as dockerd's max-concurrent-uploads. */
const uploadLimit = 5;

export interface PushContext {
  readonly records: ImageRecords;
  readonly content: ContentStore;
  readonly client: RegistryClient;
}

/**
 * Sends an image under its own manifest, so that its digest is the same everywhere: each blob the registry does not
 * have is mounted from a repository of the same host known to hold it, or uploaded; then config, then manifest.
 */
export async function pushImage(
  context: PushContext,
  image: LocalImage,
  reference: Reference,
  options: TransferOptions,
): Promise<Descriptor> {
  const { content, client } = context;
  const named = withDefaultTag(reference);
  const emit = options.onEvent ?? (() => undefined);
  const bytes = await content.read(image.manifest.digest);
  const parsed = parseManifestDocument(bytes, image.manifest.mediaType);
  if (parsed.kind !== 'manifest') {
    throw new VarveError('internal', 'MANIFEST_INVALID', `${image.manifest.digest} is not an image manifest`);
  }
  const manifest: Manifest = parsed.document;
  const repository = client.repository(named, options.credentials);
  emit({ type: 'resolved', reference: familiarReference(named), digest: image.manifest.digest });

  const stop = new AbortController();
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
  const sent = new Map<Digest, Promise<void>>();
  const layers = manifest.layers.map((blob, index) => ({
    blob,
    diffId: image.config.rootfs.diff_ids[index] as DiffID,
  }));
  for (const { diffId } of layers) emit({ type: 'layer', digest: diffId, state: 'preparing' });
  for (const { diffId } of layers.slice(uploadLimit))
    emit({ type: 'layer', digest: diffId, state: 'waiting' });
  try {
    await mapLimit(layers, uploadLimit, async ({ blob, diffId }) => {
      // The same blob twice in one image is sent once.
      let sending = sent.get(blob.digest);
      if (!sending) {
        sending = sendBlob(context, repository, named, blob, diffId, emit, signal);
        sent.set(blob.digest, sending);
      }
      await sending;
    });
  } catch (error) {
    stop.abort(error);
    throw error;
  }
  await sendBlob(context, repository, named, manifest.config, undefined, emit, signal);
  await repository.putManifest(
    named.tag ?? image.manifest.digest,
    { descriptor: image.manifest, bytes },
    { signal },
  );
  return image.manifest;
}

async function sendBlob(
  { content, records }: PushContext,
  repository: RemoteRepository,
  target: Reference,
  blob: Descriptor,
  diffId: DiffID | undefined,
  emit: (event: TransferEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const say = (event: Omit<Extract<TransferEvent, { type: 'layer' }>, 'type' | 'digest'>): void => {
    if (diffId !== undefined) emit({ type: 'layer', digest: diffId, ...event });
  };
  const name = canonicalName(target);
  if (await repository.hasBlob(blob.digest, { signal })) {
    say({ state: 'exists' });
    records.putOrigin(blob.digest, name);
    return;
  }
  for (const origin of records.origins(blob.digest)) {
    const source = parseReference(origin);
    if (source.domain !== target.domain || source.path === target.path) continue;
    if (await repository.mountBlob(blob.digest, source.path, { signal })) {
      say({ state: 'mounted', from: source.path });
      records.putOrigin(blob.digest, name);
      return;
    }
  }
  if (content.stat(blob.digest) === undefined) {
    throw new VarveError('data-loss', 'BLOB_MISSING', `blob ${blob.digest} is not in the store`, {
      subject: blob.digest,
      hint: 'pull or build the image again',
    });
  }
  say({ state: 'pushing', current: 0, total: blob.size });
  await repository.putBlob(blob, (start) => content.open(blob.digest, { start }), {
    signal,
    onProgress: (current) => say({ state: 'pushing', current, total: blob.size }),
  });
  say({ state: 'pushed' });
  records.putOrigin(blob.digest, name);
}
