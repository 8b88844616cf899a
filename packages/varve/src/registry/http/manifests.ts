import { subjectOf } from '../auth/index.ts';
import { RegistryError } from '../errors.ts';
import { maxManifestBytes, readManifest } from '../manifests/document.ts';
import { type ManifestRecord, tagIsImmutable } from '../metadata/index.ts';
import { isTag, type ManifestReference, parseManifestReference } from '../names.ts';
import { addToFallback, dropFromFallback, fallbackSubject, makeFallback } from '../referrers/index.ts';
import { deletesAreDisabled } from './blobs.ts';
import type { Exchange } from './exchange.ts';
import { matchesEtag } from './ranges.ts';
import type { Handler, Services } from './services.ts';

// spec.md asks for ten at least.
const maxTagsPerPush = 100;

/** GET and HEAD by tag or digest. spec.md#pulling-manifests. */
export const getManifest: Handler = async (exchange, services) => {
  const { metadata, pulls, proxy, trust } = services;
  const { name, reference } = exchange.route;
  const target = parseManifestReference(reference);
  await proxy.ensureManifest(name, target);
  const record =
    'tag' in target
      ? ((await metadata.manifestByTag(name, target.tag)) ??
        (await listForOlderClients(services, name, target.tag)))
      : await metadata.manifestByDigest(name, target.digest);
  if (!record) throw new RegistryError('MANIFEST_UNKNOWN', { detail: { name, reference } });
  await trust.requireForPull(name, record.digest);
  const etag = `"${record.digest}"`;
  const headers = [
    'Content-Type',
    record.mediaType,
    'Docker-Content-Digest',
    record.digest,
    'Etag',
    etag,
    'Content-Length',
    String(record.size),
  ];
  if (matchesEtag(exchange.header('if-none-match'), etag)) return exchange.send(304, headers.slice(0, 6));
  if (exchange.request.method === 'HEAD') return exchange.send(200, headers);
  pulls.add(name, target);
  const content = await metadata.manifestContent(name, record.digest);
  if (!content) throw new RegistryError('MANIFEST_UNKNOWN', { detail: { name, reference } });
  exchange.send(200, headers, content);
};

/** The referrers of a manifest under the tag where clients from before the API for them look; made for the first that asks. */
async function listForOlderClients(
  { metadata, quota, readOnly }: Services,
  repository: string,
  tag: string,
): Promise<ManifestRecord | undefined> {
  const subject = fallbackSubject(tag);
  if (subject === undefined || readOnly) return undefined;
  return await makeFallback(metadata, repository, subject, { limits: quota.limitsOf(repository) });
}

/** PUT by tag or digest, with further tags as `tag` parameters. spec.md#pushing-manifests. */
export const putManifest: Handler = async (exchange, services) => {
  const { metadata, quota, immutableTags, notifier, trust } = services;
  const { name, reference } = exchange.route;
  const target = parseManifestReference(reference);
  const tags = 'tag' in target ? [target.tag] : readTags(exchange.query);
  const bytes = await exchange.readBody(maxManifestBytes, tooLarge);
  const expected = 'digest' in target ? target.digest : undefined;
  const manifest = readManifest(bytes, exchange.header('content-type'), expected, {
    enabled: services.schema1Enabled,
    repository: name,
    tag: 'tag' in target ? target.tag : undefined,
  });
  if (tags.length > 0) await trust.requireForTag(name, manifest);
  await metadata.putManifest(name, manifest, tags, {
    limits: quota.limitsOf(name),
    immutable: immutableTags(name),
    deliveries: notifier.deliveriesOf({
      action: 'push',
      repository: name,
      digest: manifest.digest,
      tags,
      mediaType: manifest.mediaType,
      size: manifest.size,
      ...who(exchange),
    }),
  });
  await addToFallback(metadata, name, manifest, { limits: quota.limitsOf(name) });
  exchange.send(201, [
    'Location',
    `/v2/${name}/manifests/${manifest.digest}`,
    'Docker-Content-Digest',
    manifest.digest,
    ...(manifest.subject ? ['OCI-Subject', manifest.subject] : []),
    ...('digest' in target && tags.length > 0 ? ['OCI-Tag', tags.join(', ')] : []),
  ]);
};

/** DELETE of a tag, or of a manifest with all its tags. spec.md#content-management. */
export const deleteManifest: Handler = async (exchange, services) => {
  const { name, reference } = exchange.route;
  await deleteReference(exchange, services, name, parseManifestReference(reference));
  exchange.send(202, []);
};

/**
 * Takes a tag away, or a manifest with all its tags. Whether the client may is asked before.
 * @throws RegistryError `UNSUPPORTED`, `MANIFEST_UNKNOWN`, `DENIED` where a tag is immutable
 */
export async function deleteReference(
  exchange: Exchange,
  { metadata, quota, deleteEnabled, immutableTags, notifier }: Services,
  name: string,
  target: ManifestReference,
): Promise<void> {
  if (!deleteEnabled) throw deletesAreDisabled();
  const reference = 'tag' in target ? target.tag : target.digest;
  const immutable = immutableTags(name);
  if ('tag' in target && immutable?.(target.tag)) throw tagIsImmutable(target.tag);
  const deliveries = notifier.deliveriesOf({
    action: 'delete',
    repository: name,
    ...('tag' in target ? { tags: [target.tag] } : { tags: [], digest: target.digest }),
    ...who(exchange),
  });
  const subject = 'tag' in target ? undefined : await metadata.subjectOf(name, target.digest);
  const deletion =
    'tag' in target
      ? await metadata.removeTag(name, target.tag, { deliveries })
      : await metadata.removeManifest(name, target.digest, { immutable, deliveries });
  if (deletion === 'immutable') {
    throw new RegistryError('DENIED', {
      status: 409,
      message: 'an immutable tag points at this manifest',
      detail: { name, reference },
    });
  }
  if (deletion !== 'deleted') throw new RegistryError('MANIFEST_UNKNOWN', { detail: { name, reference } });
  if (subject !== undefined && !('tag' in target)) {
    await dropFromFallback(metadata, name, subject, target.digest, { limits: quota.limitsOf(name) });
  }
}

function who(exchange: Exchange): { readonly actor: string; readonly remote: string | undefined } {
  return { actor: subjectOf(exchange.identity), remote: exchange.asking.remote };
}

function readTags(query: URLSearchParams): string[] {
  const tags = [...new Set(query.getAll('tag'))];
  if (tags.length > maxTagsPerPush) {
    throw new RegistryError('TAG_INVALID', { status: 414, message: `more than ${maxTagsPerPush} tags` });
  }
  for (const tag of tags) {
    if (!isTag(tag)) {
      throw new RegistryError('TAG_INVALID', { message: 'invalid tag', detail: { tag: tag.slice(0, 300) } });
    }
  }
  return tags;
}

function tooLarge(): RegistryError {
  return new RegistryError('MANIFEST_INVALID', {
    status: 413,
    message: `manifest invalid: larger than ${maxManifestBytes} bytes`,
  });
}
