import type { Readable } from 'node:stream';
import { VarveError } from '../base/index.ts';
import type { RegistryCredentials } from '../distribution/index.ts';
import type { LoadedImage, LocalImage, RemovedItem, TransferOptions } from '../image/index.ts';
import {
  configSizeLimit,
  type Descriptor,
  type Digest,
  familiarReference,
  type Platform,
  parseImageConfig,
  parseManifestDocument,
  parseReference,
  withDefaultTag,
} from '../oci/index.ts';
import { applyChanges } from './commit.ts';
import type { EngineCore } from './core.ts';
import { booleanFilter, checkFilters, labelsMatch } from './filters.ts';
import { pruneTime } from './prune-time.ts';
import type { Filters } from './types.ts';

function attributes(image: LocalImage, name: string): Record<string, string> {
  return { ...image.config.config?.Labels, name };
}

function familiar(image: LocalImage): string | undefined {
  return image.tags[0] === undefined ? undefined : familiarReference(parseReference(image.tags[0]));
}

/** Containers made of an image. */
function imageUsers(core: EngineCore, id: Digest): { readonly id: string; readonly running: boolean }[] {
  return core.containers
    .list()
    .filter((container) => container.record.imageId === id)
    .map((container) => ({ id: container.id, running: container.running }));
}

/** Pulls and tells about it. @throws what {@link ImageStore.pull} throws. */
export async function pullImage(
  core: EngineCore,
  reference: string,
  options: TransferOptions = {},
): Promise<LocalImage> {
  const image = await core.images.pull(reference, options);
  core.events.publish('image', 'pull', reference, attributes(image, reference.replace(/[:@].*$/, '')));
  return image;
}

export async function pushImage(
  core: EngineCore,
  reference: string,
  options: TransferOptions = {},
): Promise<Descriptor> {
  const descriptor = await core.images.push(reference, options);
  core.events.publish('image', 'push', reference, { name: reference.replace(/[:@].*$/, '') });
  return descriptor;
}

/** Tries credentials on a registry. @throws VarveError `unauthorized`. */
export async function login(core: EngineCore, host: string, credentials: RegistryCredentials): Promise<void> {
  await core.registries.login(host === '' || host === 'index.docker.io' ? 'docker.io' : host, credentials);
}

/** What a registry has under a name: `docker manifest inspect` and `GET /distribution/{name}/json`. */
export async function inspectRemote(
  core: EngineCore,
  name: string,
  options: { readonly credentials?: RegistryCredentials; readonly signal?: AbortSignal } = {},
): Promise<{ readonly descriptor: Descriptor; readonly platforms: readonly Platform[] }> {
  const reference = withDefaultTag(parseReference(name));
  const repository = core.registries.repository(reference, options.credentials);
  const signal = options.signal ? { signal: options.signal } : {};
  const raw = await repository.getManifest(reference.digest ?? reference.tag ?? 'latest', signal);
  const parsed = parseManifestDocument(raw.bytes, raw.descriptor.mediaType);
  if (parsed.kind === 'index') {
    const platforms = parsed.document.manifests.flatMap(({ platform }) => (platform ? [platform] : []));
    return { descriptor: raw.descriptor, platforms };
  }
  const { body } = await repository.getBlob(parsed.document.config, signal);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > configSizeLimit)
      throw new VarveError('too-large', 'CONFIG_TOO_LARGE', 'the image configuration is too large');
    chunks.push(chunk);
  }
  const { architecture, os, variant } = parseImageConfig(Buffer.concat(chunks));
  return {
    descriptor: raw.descriptor,
    platforms: [{ architecture, os, ...(variant === undefined ? {} : { variant }) }],
  };
}

export function tagImage(core: EngineCore, nameOrId: string, reference: string): void {
  const image = core.images.resolve(nameOrId);
  core.images.tag(image.id, reference);
  core.events.publish('image', 'tag', image.id, attributes(image, reference));
}

/** @throws VarveError `conflict` in Docker's words while containers use it. */
export async function removeImage(
  core: EngineCore,
  nameOrId: string,
  options: { readonly force?: boolean; readonly noPrune?: boolean } = {},
): Promise<readonly RemovedItem[]> {
  const image = core.images.resolve(nameOrId);
  await core.cleanups.settled();
  const removed = await core.images.remove(nameOrId, { ...options, inUse: (id) => imageUsers(core, id) });
  publishRemoved(core, removed, image.id);
  return removed;
}

function publishRemoved(core: EngineCore, removed: readonly RemovedItem[], id: Digest): void {
  for (const item of removed) {
    if ('untagged' in item) core.events.publish('image', 'untag', id, { name: id });
    else core.events.publish('image', 'delete', item.deleted, { name: item.deleted });
  }
}

/** `docker image prune`: dangling images, or with `dangling=false` all that no container uses. */
export async function pruneImages(
  core: EngineCore,
  filters: Filters = {},
): Promise<{ readonly removed: readonly RemovedItem[]; readonly bytes: number }> {
  checkFilters(filters, ['dangling', 'until', 'label', 'label!']);
  const until = pruneTime(filters);
  await core.cleanups.settled();
  const used = new Set(core.containers.list().map((container) => container.record.imageId));
  const result = await core.images.prune({
    all: booleanFilter(filters, 'dangling') === false,
    keep: (image) =>
      used.has(image.id) ||
      (until !== undefined && Date.parse(image.config.created ?? '') >= until) ||
      !labelsMatch(filters, image.config.config?.Labels),
  });
  for (const item of result.removed) {
    const id = ('deleted' in item ? item.deleted : '') as Digest;
    publishRemoved(core, [item], id);
  }
  core.events.publish('image', 'prune', '', { reclaimed: String(result.bytes) });
  return result;
}

export async function loadImages(
  core: EngineCore,
  archive: Readable,
  options: { readonly signal?: AbortSignal } = {},
): Promise<readonly LoadedImage[]> {
  const loaded = await core.images.load(archive, options);
  for (const { image, reference } of loaded) {
    core.events.publish('image', 'load', image.id, attributes(image, reference ?? image.id));
  }
  return loaded;
}

export function saveImages(core: EngineCore, names: readonly string[], signal?: AbortSignal): Readable {
  if (names.length === 0) throw new VarveError('invalid', 'NO_IMAGES', 'no images to save');
  const images = names.map((name) => core.images.resolve(name));
  const stream = core.images.save(names, signal ? { signal } : {});
  for (const image of images) {
    core.events.publish('image', 'save', image.id, attributes(image, familiar(image) ?? image.id));
  }
  return stream;
}

/** Makes an image of a root file system's tar. @param changes Dockerfile instructions that configure it. */
export async function importImage(
  core: EngineCore,
  archive: Readable,
  options: Parameters<EngineCore['images']['import']>[1],
  changes: readonly string[] = [],
): Promise<LocalImage> {
  const config = changes.length > 0 ? { config: applyChanges(options.config ?? {}, changes) } : {};
  const image = await core.images.import(archive, { ...options, ...config });
  core.events.publish('image', 'import', image.id, attributes(image, options.reference ?? image.id));
  return image;
}
