import { type Descriptor, type Digest, digestOf, isDigest, mediaTypes } from '../../oci/index.ts';
import { maxManifestBytes } from '../manifests/document.ts';
import type { ManifestRecord, MetadataStore, NewManifest, WriteRules } from '../metadata/index.ts';

const tagPattern = /^(sha256-[0-9a-f]{64}|sha512-[0-9a-f]{128})$/;
/** What fits a manifest with room to spare. */
const maxListed = 1000;

/** The subject of a tag of the referrers tag schema; undefined for another tag. spec.md#referrers-tag-schema */
export function fallbackSubject(tag: string): Digest | undefined {
  const digest = tagPattern.test(tag) ? tag.replace('-', ':') : '';
  return isDigest(digest) ? digest : undefined;
}

function fallbackTag(subject: Digest): string {
  return subject.replace(':', '-');
}

/**
 * The list of referrers under the tag where clients from before the referrers API look for it, made when the first of them
 * asks and there is something to list. From then on {@link addToFallback} and {@link dropFromFallback} keep it in step.
 */
export async function makeFallback(
  metadata: MetadataStore,
  repository: string,
  subject: Digest,
  rules: WriteRules,
): Promise<ManifestRecord | undefined> {
  const manifests = await metadata.referrers(repository, subject, { limit: maxListed });
  if (manifests.length === 0) return undefined;
  return await store(metadata, repository, subject, manifests, rules);
}

/** Adds a manifest that was pushed to the list of its subject, where there is one. */
export async function addToFallback(
  metadata: MetadataStore,
  repository: string,
  manifest: NewManifest,
  rules: WriteRules,
): Promise<void> {
  const { subject, digest, mediaType, size, artifactType, annotations } = manifest;
  if (subject === undefined) return;
  const added: Descriptor = {
    mediaType,
    digest,
    size,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
  };
  await change(metadata, repository, subject, rules, (listed) =>
    listed.some((item) => item.digest === digest) ? listed : [...listed, added],
  );
}

/** Takes a manifest that was deleted off the list of its subject. */
export async function dropFromFallback(
  metadata: MetadataStore,
  repository: string,
  subject: Digest,
  digest: Digest,
  rules: WriteRules,
): Promise<void> {
  await change(metadata, repository, subject, rules, (listed) => {
    const kept = listed.filter((item) => item.digest !== digest);
    return kept.length === listed.length ? listed : kept;
  });
}

async function change(
  metadata: MetadataStore,
  repository: string,
  subject: Digest,
  rules: WriteRules,
  edit: (listed: readonly Descriptor[]) => readonly Descriptor[],
): Promise<void> {
  // Two pushes that read the same list must not each write it without the other.
  await metadata.inBlobTurn(subject, async () => {
    const record = await metadata.manifestByTag(repository, fallbackTag(subject));
    if (record?.mediaType !== mediaTypes.ociIndex) return;
    const bytes = await metadata.manifestContent(repository, record.digest);
    const document = bytes && (JSON.parse(Buffer.from(bytes).toString()) as { manifests?: Descriptor[] });
    const listed = document?.manifests ?? [];
    const edited = edit(listed);
    if (edited !== listed) await store(metadata, repository, subject, edited, rules);
  });
}

async function store(
  metadata: MetadataStore,
  repository: string,
  subject: Digest,
  manifests: readonly Descriptor[],
  rules: WriteRules,
): Promise<ManifestRecord | undefined> {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }));
  if (bytes.length > maxManifestBytes) return undefined;
  const record = { digest: digestOf(bytes), mediaType: mediaTypes.ociIndex, size: bytes.length };
  const children = manifests.map(({ digest }) => digest);
  await metadata.putManifest(
    repository,
    { ...record, bytes, blobs: [], optionalBlobs: [], children },
    [fallbackTag(subject)],
    rules,
  );
  return record;
}
