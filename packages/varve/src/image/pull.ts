import { mapLimit, VarveError } from '../base/index.ts';
import {
  downloadBlob,
  type RawManifest,
  type RegistryClient,
  RemoteSignatures,
  type RemoteRepository,
  requireTrust,
  type TrustPolicy,
} from '../distribution/index.ts';
import {
  canonicalName,
  canonicalReference,
  choosePlatform,
  configSizeLimit,
  type Descriptor,
  familiarReference,
  formatPlatform,
  hostPlatform,
  type ImageConfig,
  type Manifest,
  type Platform,
  parseImageConfig,
  parseManifestDocument,
  type Reference,
  withDefaultTag,
} from '../oci/index.ts';
import type { Hold } from './hold.ts';
import type { TransferEvent, TransferOptions } from './types.ts';
import { type LayerToUnpack, type UnpackContext, unpackLayers } from './unpack.ts';

/** Layers downloaded at the same time, as dockerd's max-concurrent-downloads. */
const downloadLimit = 3;

export interface PullContext extends UnpackContext {
  readonly client: RegistryClient;
  /** Which images must be signed. */
  readonly trust: readonly TrustPolicy[];
}

export interface PulledImage {
  readonly config: ImageConfig;
  readonly configDescriptor: Descriptor;
  readonly manifest: Manifest;
  readonly manifestDescriptor: Descriptor;
  /** What the reference names: the manifest, or the index it was chosen from. */
  readonly root: Descriptor;
}

/**
 * Fetches what a reference names: manifest (of an index, the one for the platform), config, then all layers in
 * parallel, each verified, resumed where cut and unpacked as it arrives. Nothing is recorded here but layers.
 */
export async function pullImage(
  context: PullContext,
  reference: Reference,
  hold: Hold,
  options: TransferOptions,
): Promise<PulledImage> {
  const named = withDefaultTag(reference);
  const emit = options.onEvent ?? (() => undefined);
  const shown = familiarReference(named);
  emit({ type: 'resolving', reference: shown });
  const repository = context.client.repository(named, options.credentials);
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  const root = await repository.getManifest(named.digest ?? named.tag ?? 'latest', signal);
  const { raw, manifest } = await chooseManifest(
    repository,
    root,
    options.platform ?? hostPlatform(),
    shown,
    signal,
  );
  // Before anything of it is fetched or kept.
  await requireTrust(
    context.trust,
    canonicalName(named),
    [root.descriptor.digest, raw.descriptor.digest],
    new RemoteSignatures(repository, signal),
  );
  emit({ type: 'resolved', reference: shown, digest: root.descriptor.digest });

  for (const { descriptor, bytes } of new Set([root, raw])) {
    hold.add(descriptor.digest);
    await context.content.write(bytes);
  }
  for (const descriptor of [manifest.config, ...manifest.layers]) hold.add(descriptor.digest);
  // Checked before a byte is fetched: a config that fills the disk is no config.
  if (manifest.config.size > configSizeLimit) {
    throw new VarveError(
      'too-large',
      'CONFIG_TOO_LARGE',
      `${shown}: its config is larger than ${configSizeLimit} bytes`,
      {
        subject: shown,
      },
    );
  }
  await downloadBlob(repository, manifest.config, context.content, signal);
  const config = parseImageConfig(await context.content.read(manifest.config.digest, configSizeLimit));
  if (config.rootfs.diff_ids.length !== manifest.layers.length) {
    throw new VarveError(
      'data-loss',
      'LAYER_COUNT_MISMATCH',
      `${shown}: the manifest names ${manifest.layers.length} layers, the config ${config.rootfs.diff_ids.length}`,
      { subject: shown },
    );
  }
  hold.addLayers(config.rootfs.diff_ids);
  await fetchLayers(context, repository, manifest, config, canonicalName(named), emit, options.signal);
  return {
    config,
    configDescriptor: manifest.config,
    manifest,
    manifestDescriptor: raw.descriptor,
    root: root.descriptor,
  };
}

async function chooseManifest(
  repository: RemoteRepository,
  root: RawManifest,
  platform: Platform,
  shown: string,
  signal: { readonly signal?: AbortSignal },
): Promise<{ readonly raw: RawManifest; readonly manifest: Manifest }> {
  let raw = root;
  // An index may name indexes; real ones nest once at most.
  for (let depth = 0; depth < 4; depth++) {
    const parsed = parseManifestDocument(raw.bytes, raw.descriptor.mediaType);
    if (parsed.kind === 'manifest') return { raw, manifest: parsed.document };
    const chosen = choosePlatform(parsed.document.manifests, platform);
    if (chosen === undefined) {
      throw new VarveError(
        'not-found',
        'NO_MATCHING_PLATFORM',
        `no matching manifest for ${formatPlatform(platform)} in the manifest list entries`,
        { subject: shown, hint: 'choose another one with --platform' },
      );
    }
    raw = await repository.getManifest(chosen.digest, signal);
  }
  throw new VarveError('invalid', 'INDEX_TOO_DEEP', `${shown}: an index nested more than 4 deep`, {
    subject: shown,
  });
}

async function fetchLayers(
  context: PullContext,
  repository: RemoteRepository,
  manifest: Manifest,
  config: ImageConfig,
  name: string,
  emit: (event: TransferEvent) => void,
  outer: AbortSignal | undefined,
): Promise<void> {
  // One failed layer ends the others.
  const stop = new AbortController();
  const signal = outer === undefined ? stop.signal : AbortSignal.any([outer, stop.signal]);
  const gates = manifest.layers.map(() => Promise.withResolvers<void>());
  for (const gate of gates) gate.promise.catch(() => undefined);
  for (const layer of manifest.layers) emit({ type: 'layer', digest: layer.digest, state: 'waiting' });

  const download = async (layer: Descriptor, index: number): Promise<void> => {
    const event = { type: 'layer', digest: layer.digest } as const;
    const known = context.content.stat(layer.digest) !== undefined;
    if (!known) {
      await downloadBlob(repository, layer, context.content, {
        signal,
        onProgress: (current) => emit({ ...event, state: 'downloading', current, total: layer.size }),
        onRetry: (wait) => emit({ ...event, state: 'retrying', wait }),
      });
      emit({ ...event, state: 'downloaded' });
    }
    context.records.putOrigin(layer.digest, name);
    gates[index]?.resolve();
  };
  const layers = manifest.layers.map(
    (blob, index): LayerToUnpack => ({
      diffId: config.rootfs.diff_ids[index] as LayerToUnpack['diffId'],
      blob,
      ready: (gates[index] as PromiseWithResolvers<void>).promise,
    }),
  );
  const exists = new Set(
    layers
      .filter((layer) => context.content.stat(layer.blob.digest) && context.records.layer(layer.diffId))
      .map((layer) => layer.blob.digest),
  );
  const fail = (error: unknown): never => {
    stop.abort(error);
    for (const gate of gates) gate.reject(error);
    throw error;
  };
  await Promise.all([
    mapLimit(manifest.layers, downloadLimit, download).catch(fail),
    unpackLayers(context, layers, {
      signal,
      onLayer: (layer, state) =>
        emit({
          type: 'layer',
          digest: layer.blob.digest,
          state: state === 'complete' && exists.has(layer.blob.digest) ? 'exists' : state,
          ...(state === 'extracting' ? { total: layer.blob.size } : {}),
        }),
    }).catch(fail),
  ]);
}

/** `docker.io/library/app@sha256:…`, the form under which a pulled or pushed image is remembered. */
export function digestReference(reference: Reference, descriptor: Descriptor): string {
  return canonicalReference({ domain: reference.domain, path: reference.path, digest: descriptor.digest });
}
