import { digestAlgorithm, digestOf, isDigest } from './digest.ts';
import {
  compact,
  DocumentFault,
  manifestSizeLimit,
  optionalString,
  optionalStringMap,
  optionalStrings,
  readObject,
  refuseCaseVariants,
  requiredString,
} from './document-reader.ts';
import { isJsonObject, type JsonObject } from './json.ts';
import { isIndexType, isManifestType, mediaTypes } from './media-types.ts';
import type { Descriptor, Index, Manifest, Platform } from './types.ts';

/** A manifest has at most so many layers; no driver mounts more than some hundred. */
export const layerCountLimit = 1000;
/** An index has at most so many entries. */
export const indexEntryLimit = 10_000;

/** A document of a registry, told apart by {@link parseManifestDocument}. */
export type ManifestDocument =
  | { readonly kind: 'manifest'; readonly mediaType: string; readonly document: Manifest }
  | { readonly kind: 'index'; readonly mediaType: string; readonly document: Index };

const fault = new DocumentFault('MANIFEST_INVALID', 'manifest');
const known = [
  'schemaVersion',
  'mediaType',
  'artifactType',
  'config',
  'layers',
  'manifests',
  'subject',
  'annotations',
];
const mediaTypePattern = /^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}\/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$/;

function parsePlatformMember(value: unknown): Platform | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isJsonObject(value)) throw fault.error('"platform" is not an object');
  return {
    ...value,
    ...compact<Platform>({
      architecture: optionalString(value, 'architecture', fault) ?? '',
      os: optionalString(value, 'os', fault) ?? '',
      'os.version': optionalString(value, 'os.version', fault),
      'os.features': optionalStrings(value, 'os.features', fault),
      variant: optionalString(value, 'variant', fault),
    }),
  };
}

/**
 * Checks one descriptor. OCI image spec, descriptor.md.
 * @throws VarveError `invalid`, code `MANIFEST_INVALID`, naming `where`.
 */
export function parseDescriptor(value: unknown, where: string): Descriptor {
  const place = new DocumentFault('MANIFEST_INVALID', `manifest: ${where}`);
  if (!isJsonObject(value)) throw place.error('it is not an object');
  refuseCaseVariants(value, ['mediaType', 'digest', 'size', 'urls', 'data', 'platform'], place);
  const mediaType = requiredString(value, 'mediaType', place);
  if (!mediaTypePattern.test(mediaType)) throw place.error('"mediaType" is no media type');
  const digest = requiredString(value, 'digest', place);
  if (!isDigest(digest)) throw place.error(`invalid digest: ${JSON.stringify(digest.slice(0, 200))}`);
  const { size } = value;
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
    throw place.error('"size" is no size');
  const data = optionalString(value, 'data', place);
  if (data !== undefined) {
    const bytes = Buffer.from(data, 'base64');
    if (bytes.length !== size || digestOf(bytes, digestAlgorithm(digest)) !== digest) {
      throw place.error('"data" is not the content that "digest" names');
    }
  }
  return compact<Descriptor>({
    mediaType,
    digest,
    size,
    urls: optionalStrings(value, 'urls', place),
    annotations: optionalStringMap(value, 'annotations', place),
    data,
    artifactType: optionalString(value, 'artifactType', place),
    platform: parsePlatformMember(value['platform']),
  });
}

function parseDescriptors(value: unknown, name: string, limit: number): readonly Descriptor[] {
  if (!Array.isArray(value)) throw fault.error(`"${name}" is not a list`);
  if (value.length > limit) throw fault.error(`"${name}" has ${value.length} entries, the limit is ${limit}`);
  return value.map((item, index) => parseDescriptor(item, `${name}[${index}]`));
}

/** The media type a document declares, in its body or (for lack of that) in the Content-Type it came with. */
function declaredType(body: JsonObject, header: string | undefined): string | undefined {
  const own = optionalString(body, 'mediaType', fault) || undefined;
  const sent = header?.split(';')[0]?.trim().toLowerCase();
  const meaningful = sent !== undefined && (isManifestType(sent) || isIndexType(sent)) ? sent : undefined;
  if (own !== undefined && meaningful !== undefined && own !== meaningful) {
    throw fault.error(`it calls itself ${own} and was sent as ${meaningful}`);
  }
  return own ?? meaningful;
}

function refuseSchema1(body: JsonObject, header: string | undefined): void {
  if (body['schemaVersion'] === 2 && body['fsLayers'] === undefined && !header?.includes('manifest.v1+'))
    return;
  if (
    body['schemaVersion'] === 1 ||
    body['fsLayers'] !== undefined ||
    header?.includes('manifest.v1+prettyjws')
  ) {
    throw fault.error(
      'Docker image manifest version 2, schema 1 is not supported: push the image again with a current tool',
    );
  }
  if (body['schemaVersion'] !== 2) throw fault.error('"schemaVersion" is not 2');
}

function common(
  body: JsonObject,
): Pick<Manifest, 'schemaVersion' | 'mediaType' | 'artifactType' | 'subject' | 'annotations'> {
  const { subject } = body;
  return compact({
    schemaVersion: 2 as const,
    mediaType: optionalString(body, 'mediaType', fault),
    artifactType: optionalString(body, 'artifactType', fault),
    subject: subject === undefined || subject === null ? undefined : parseDescriptor(subject, 'subject'),
    annotations: optionalStringMap(body, 'annotations', fault),
  });
}

/**
 * Reads a manifest or an index of OCI or of Docker's schema 2 and tells which it is. A document that could be
 * read as both, or that contradicts the Content-Type it came with, is refused (GHSA-qq97-vm5h-rrhg).
 * @param contentType as the registry sent it; types that are none of ours are ignored.
 * @throws VarveError `invalid` or `too-large`, code `MANIFEST_INVALID`.
 */
export function parseManifestDocument(bytes: Uint8Array, contentType?: string): ManifestDocument {
  const body = readObject(bytes, manifestSizeLimit, fault);
  refuseCaseVariants(body, known, fault);
  refuseSchema1(body, contentType);
  const type = declaredType(body, contentType);
  if (body['manifests'] !== undefined && (body['layers'] !== undefined || body['config'] !== undefined)) {
    throw fault.error('it has both "manifests" and "layers" or "config"');
  }
  if (body['manifests'] === undefined) {
    const mediaType = type ?? mediaTypes.ociManifest;
    if (!isManifestType(mediaType)) throw fault.error(`it is no ${mediaType}: "manifests" is missing`);
    const config = parseDescriptor(body['config'], 'config');
    const layers = parseDescriptors(body['layers'] ?? [], 'layers', layerCountLimit);
    return { kind: 'manifest', mediaType, document: { ...common(body), config, layers } };
  }
  const mediaType = type ?? mediaTypes.ociIndex;
  if (!isIndexType(mediaType)) throw fault.error(`it is no ${mediaType}: it has "manifests"`);
  const manifests = parseDescriptors(body['manifests'] ?? [], 'manifests', indexEntryLimit);
  return { kind: 'index', mediaType, document: { ...common(body), manifests } };
}

/** {@link parseManifestDocument} for bytes that must be a manifest. */
export function parseManifest(bytes: Uint8Array, contentType?: string): Manifest {
  const parsed = parseManifestDocument(bytes, contentType);
  if (parsed.kind !== 'manifest') throw fault.error('it is an index');
  return parsed.document;
}

/** {@link parseManifestDocument} for bytes that must be an index. */
export function parseIndex(bytes: Uint8Array, contentType?: string): Index {
  const parsed = parseManifestDocument(bytes, contentType);
  if (parsed.kind !== 'index') throw fault.error('it is not an index');
  return parsed.document;
}
