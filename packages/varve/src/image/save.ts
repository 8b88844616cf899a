import { Readable } from 'node:stream';
import type { ContentStore } from '../content/index.ts';
import { encodeEnd, encodeHeader, paddingAfter, type TarEntryType } from '../layer/index.ts';
import {
  type Descriptor,
  type Digest,
  digestAlgorithm,
  digestHex,
  encodeJson,
  familiarReference,
  type Manifest,
  mediaTypes,
  parseManifestDocument,
  parseReference,
} from '../oci/index.ts';
import type { LocalImage } from './types.ts';

/** An image to be saved with the references it was asked for by; none when it was asked for by id. */
export interface SavedImage {
  readonly image: LocalImage;
  readonly references: readonly string[];
}

function blobPath(digest: Digest): string {
  return `blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`;
}

function header(name: string, type: TarEntryType, size: number): Buffer {
  const none = Buffer.alloc(0);
  return encodeHeader({
    type,
    name: Buffer.from(name),
    linkName: none,
    mode: type === 'directory' ? 0o755 : 0o644,
    uid: 0,
    gid: 0,
    userName: none,
    groupName: none,
    size,
    mtime: { seconds: 0, nanoseconds: 0 },
    deviceMajor: 0,
    deviceMinor: 0,
    xattrs: [],
  });
}

/**
 * The archive of `docker save` since 25: an OCI layout (image-layout.md) that also carries docker-archive's
 * `manifest.json` and `repositories`. Blobs go in as they are kept, so manifests keep their digests; times are the
 * epoch, so the same images give the same bytes.
 */
export function saveImages(content: ContentStore, images: readonly SavedImage[]): Readable {
  return Readable.from(archive(content, images), { objectMode: false });
}

async function* archive(content: ContentStore, images: readonly SavedImage[]): AsyncGenerator<Buffer> {
  const blobs = new Map<Digest, number>();
  const index: Descriptor[] = [];
  const legacy: { Config: string; RepoTags: string[] | null; Layers: string[] }[] = [];
  const repositories: Record<string, Record<string, string>> = {};
  for (const { image, references } of images) {
    const parsed = parseManifestDocument(await content.read(image.manifest.digest), image.manifest.mediaType);
    const manifest = parsed.document as Manifest;
    for (const blob of [image.manifest, manifest.config, ...manifest.layers])
      blobs.set(blob.digest, blob.size);
    const tags = references.map((reference) => familiarReference(parseReference(reference)));
    legacy.push({
      Config: blobPath(manifest.config.digest),
      RepoTags: tags.length === 0 ? null : tags,
      Layers: manifest.layers.map((layer) => blobPath(layer.digest)),
    });
    if (references.length === 0) index.push(image.manifest);
    for (const [at, reference] of references.entries()) {
      const parsedReference = parseReference(reference);
      index.push({
        ...image.manifest,
        annotations: {
          'io.containerd.image.name': reference,
          'org.opencontainers.image.ref.name': parsedReference.tag ?? 'latest',
        },
      });
      const top = manifest.layers.at(-1);
      const name = (tags[at] as string).slice(0, (tags[at] as string).lastIndexOf(':'));
      if (top) (repositories[name] ??= {})[parsedReference.tag ?? 'latest'] = digestHex(top.digest);
    }
  }

  yield header('blobs/', 'directory', 0);
  for (const algorithm of new Set([...blobs.keys()].map(digestAlgorithm)))
    yield header(`blobs/${algorithm}/`, 'directory', 0);
  for (const [digest, size] of [...blobs].sort(([a], [b]) => (a < b ? -1 : 1))) {
    yield header(blobPath(digest), 'file', size);
    for await (const chunk of content.open(digest)) yield chunk as Buffer;
    yield Buffer.alloc(paddingAfter(size));
  }
  const documents: [string, object][] = [
    ['index.json', { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: index }],
    ['manifest.json', legacy],
    ['oci-layout', { imageLayoutVersion: '1.0.0' }],
  ];
  if (Object.keys(repositories).length > 0) documents.push(['repositories', repositories]);
  for (const [name, value] of documents) {
    const bytes = encodeJson(value);
    yield header(name, 'file', bytes.length);
    yield Buffer.from(bytes);
    yield Buffer.alloc(paddingAfter(bytes.length));
  }
  yield encodeEnd();
}
