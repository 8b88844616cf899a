import type { Readable } from 'node:stream';
import {
  canonicalReference,
  choosePlatform,
  type Descriptor,
  type DiffID,
  type Digest,
  digestOf,
  encodeJson,
  hostPlatform,
  type ImageConfig,
  type Manifest,
  mediaTypes,
  parseImageConfig,
  parseIndex,
  parseManifestDocument,
  parseReference,
  withDefaultTag,
} from '../oci/index.ts';
import { ImageArchive, invalid } from './archive.ts';
import { totalSize } from './create.ts';
import type { Hold } from './hold.ts';
import { packLayer } from './pack-layer.ts';
import { storedLayers, type UnpackContext, unpackLayers } from './unpack.ts';

interface ImageToLoad {
  readonly config: ImageConfig;
  readonly manifest: Manifest;
  readonly manifestDescriptor: Descriptor;
  /** Canonical references to tag it with. */
  readonly references: readonly string[];
}

/**
 * Reads a docker-archive (`manifest.json`), an OCI layout (`index.json`) or docker's mixture of both, in which the
 * manifests keep their digests. All blobs are verified and all layers unpacked before the first image is recorded.
 * @returns ids in the archive's order, once for each reference.
 */
export async function loadImages(
  context: UnpackContext,
  hold: Hold,
  source: Readable,
  options: { readonly signal?: AbortSignal },
): Promise<readonly { readonly id: Digest; readonly reference: string | undefined }[]> {
  const archive = new ImageArchive(context.content);
  await archive.read(source, hold, options.signal);
  const images = archive.has('index.json')
    ? await fromLayout(archive)
    : await fromDockerArchive(context, hold, archive, options.signal);
  if (images.length === 0) throw invalid('it holds no image');
  for (const image of images) {
    const layers = image.manifest.layers.map((blob, index) => ({
      blob,
      diffId: image.config.rootfs.diff_ids[index] as DiffID,
      ready: Promise.resolve(),
    }));
    hold.addLayers(image.config.rootfs.diff_ids);
    await unpackLayers(context, layers, options);
  }
  const loaded: { id: Digest; reference: string | undefined }[] = [];
  context.records.transaction(() => {
    for (const { config, manifest, manifestDescriptor, references } of images) {
      const id = manifest.config.digest;
      const layers = storedLayers(context.records, config.rootfs.diff_ids);
      context.records.putImage(
        {
          id,
          config: manifest.config,
          manifest: manifestDescriptor,
          size: totalSize(layers),
          parent: undefined,
        },
        [manifestDescriptor, manifest.config, ...manifest.layers].map((blob) => blob.digest),
      );
      for (const reference of references) {
        context.records.putTag(reference, id);
        loaded.push({ id, reference });
      }
      if (references.length === 0) loaded.push({ id, reference: undefined });
    }
  });
  return loaded;
}

/** OCI image spec, image-layout.md. An index inside it is read for this host's platform. */
async function fromLayout(archive: ImageArchive): Promise<ImageToLoad[]> {
  const index = parseIndex(await archive.document('index.json'));
  const images = new Map<Digest, ImageToLoad & { references: string[] }>();
  for (const entry of index.manifests) {
    const chosen = await imageManifest(archive, entry);
    if (!chosen) continue;
    const { descriptor, manifest } = chosen;
    const image = images.get(descriptor.digest) ?? {
      config: parseImageConfig(await blobDocument(archive, manifest.config)),
      manifest,
      manifestDescriptor: descriptor,
      references: [],
    };
    for (const layer of manifest.layers) checkBlob(archive, layer);
    checkLayerCount(image.config, manifest.layers.length);
    images.set(descriptor.digest, image);
    const reference = referenceOf(entry.annotations);
    if (reference !== undefined && !image.references.includes(reference)) image.references.push(reference);
  }
  return [...images.values()];
}

async function imageManifest(
  archive: ImageArchive,
  entry: Descriptor,
): Promise<{ readonly descriptor: Descriptor; readonly manifest: Manifest } | undefined> {
  let descriptor = entry;
  for (let depth = 0; depth < 4; depth++) {
    const parsed = parseManifestDocument(await blobDocument(archive, descriptor), descriptor.mediaType);
    if (parsed.kind === 'manifest') {
      const { digest, size } = descriptor;
      return { descriptor: { mediaType: parsed.mediaType, digest, size }, manifest: parsed.document };
    }
    const present = parsed.document.manifests.filter((child) => archive.has(blobPath(child.digest)));
    const chosen = choosePlatform(present, hostPlatform()) ?? present[0];
    if (!chosen) return undefined;
    descriptor = chosen;
  }
  throw invalid('an index nested more than 4 deep');
}

/** `docker save` up to 24 and `podman save`: manifest.json names config and layer files, which carry no media types. */
async function fromDockerArchive(
  context: UnpackContext,
  hold: Hold,
  archive: ImageArchive,
  signal: AbortSignal | undefined,
): Promise<ImageToLoad[]> {
  if (!archive.has('manifest.json')) throw invalid('neither index.json nor manifest.json is in it');
  let entries: unknown;
  try {
    entries = JSON.parse((await archive.document('manifest.json')).toString());
  } catch (error) {
    throw invalid('manifest.json is not JSON', error);
  }
  if (!Array.isArray(entries)) throw invalid('manifest.json is not a list');
  const images: ImageToLoad[] = [];
  for (const entry of entries as unknown[]) {
    const { Config, Layers, RepoTags } = (entry ?? {}) as {
      Config?: unknown;
      Layers?: unknown;
      RepoTags?: unknown;
    };
    if (typeof Config !== 'string' || !isStrings(Layers))
      throw invalid('an entry of manifest.json lacks Config or Layers');
    const bytes = await archive.document(Config);
    const config = parseImageConfig(bytes);
    checkLayerCount(config, Layers.length);
    const layers: Descriptor[] = [];
    for (const [index, path] of Layers.entries()) {
      const diffId = config.rootfs.diff_ids[index] as DiffID;
      const known = context.records.layer(diffId);
      if (known && context.content.stat(known.blob.digest)) {
        hold.add(known.blob.digest);
        layers.push(known.blob);
      } else {
        const { diffId: _, ...blob } = await packLayer(
          context.content,
          hold,
          archive.blob(path).digest,
          diffId,
          signal,
        );
        layers.push(blob);
      }
    }
    const configDescriptor = { mediaType: mediaTypes.ociConfig, ...archive.blob(Config) };
    const manifest: Manifest = {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: configDescriptor,
      layers,
    };
    const encoded = encodeJson(manifest);
    hold.add(digestOf(encoded));
    const stored = await context.content.write(encoded);
    images.push({
      config,
      manifest,
      manifestDescriptor: { mediaType: mediaTypes.ociManifest, ...stored },
      references: isStrings(RepoTags)
        ? RepoTags.map((tag) => canonicalReference(withDefaultTag(parseReference(tag))))
        : [],
    });
  }
  return images;
}

/**
 * A layout's blob is the file under its own name: one reached by a link would be other bytes under this digest.
 * @throws VarveError `invalid`.
 */
function checkBlob(archive: ImageArchive, { digest, size }: Descriptor): void {
  const found = archive.blob(blobPath(digest));
  if (found.digest !== digest) throw invalid(`the file named ${digest} hashes to ${found.digest}`);
  if (found.size !== size) throw invalid(`blob ${digest} has ${found.size} bytes where ${size} are named`);
}

async function blobDocument(archive: ImageArchive, descriptor: Descriptor): Promise<Buffer> {
  checkBlob(archive, descriptor);
  return archive.document(blobPath(descriptor.digest));
}

function blobPath(digest: Digest): string {
  return `blobs/${digest.replace(':', '/')}`;
}

/** The name a layout's entry goes by: containerd's annotation holds the whole reference, the spec's often only a tag. */
function referenceOf(annotations: Readonly<Record<string, string>> | undefined): string | undefined {
  for (const name of ['io.containerd.image.name', 'org.opencontainers.image.ref.name']) {
    const text = annotations?.[name];
    if (text === undefined || !/[/:]/.test(text)) continue;
    try {
      const reference = withDefaultTag(parseReference(text));
      if (reference.digest === undefined) return canonicalReference(reference);
    } catch {
      // An annotation that is no reference names nothing.
    }
  }
  return undefined;
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function checkLayerCount(config: ImageConfig, layers: number): void {
  if (config.rootfs.diff_ids.length === layers) return;
  throw invalid(`it has ${layers} layers where the config names ${config.rootfs.diff_ids.length}`);
}
