import { type Descriptor, type Digest, digestOf, isDigest, mediaTypes } from '../../oci/index.ts';
import { RegistryError } from '../errors.ts';
import type { NewManifest } from '../metadata/index.ts';
import { isSchema1, readSchema1, type Schema1Push } from './schema1.ts';

/** The least that spec.md#pushing-manifests asks a registry to take, and the most that we do. */
export const maxManifestBytes = 4 * 1024 * 1024;
// Each is a look-up inside the transaction; images have at most some hundreds.
const maxReferences = 10_000;

const imageTypes: ReadonlySet<string> = new Set([mediaTypes.ociManifest, mediaTypes.dockerManifest]);
const indexTypes: ReadonlySet<string> = new Set([mediaTypes.ociIndex, mediaTypes.dockerManifestList]);
const mediaTypePattern = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/i;

type Json = Readonly<Record<string, unknown>>;

function invalid(message: string): RegistryError {
  return new RegistryError('MANIFEST_INVALID', { message: `manifest invalid: ${message}` });
}

/**
 * Reads a pushed manifest: its type, its digest and all it names. Images and indexes are checked, and refused when
 * their type is ambiguous (CVE-2021-41190: a body that is both, or that contradicts its Content-Type). Other types
 * are kept as they are; of those that are JSON the `subject` counts.
 * @param push what a manifest of schema 1 that is being pushed has to agree with; absent for one that is here already
 * @throws RegistryError `MANIFEST_INVALID`, `DIGEST_INVALID` when `expected` is not the digest of the bytes; and as
 * {@link readSchema1}
 */
export function readManifest(
  bytes: Uint8Array,
  contentType: string | undefined,
  expected?: Digest,
  push?: Schema1Push,
): NewManifest {
  const json = parseObject(bytes);
  const declared = contentType?.split(';', 1)[0]?.trim().toLowerCase();
  if (isSchema1(declared, json)) return readSchema1(bytes, expected, push);
  const digest = digestOf(bytes, expected?.startsWith('sha512:') ? 'sha512' : 'sha256');
  if (expected !== undefined && digest !== expected) {
    throw new RegistryError('DIGEST_INVALID', { detail: { expected, actual: digest } });
  }
  const mediaType = decideType(json, declared);
  const base = { digest, mediaType, size: bytes.length, bytes };
  if (imageTypes.has(mediaType)) return { ...base, ...readImage(json, mediaType) };
  if (indexTypes.has(mediaType)) return { ...base, ...readIndex(json) };
  return { ...base, blobs: [], optionalBlobs: [], children: [], ...(json ? readCommon(json) : {}) };
}

function parseObject(bytes: Uint8Array): Json | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function decideType(json: Json | undefined, declared: string | undefined): string {
  const inBody = json?.['mediaType'];
  if (inBody !== undefined && typeof inBody !== 'string') throw invalid('mediaType is not a string');
  const mediaType = declared || inBody?.toLowerCase() || (json && guessType(json));
  if (!mediaType || !mediaTypePattern.test(mediaType))
    throw invalid('the media type is missing or malformed');
  if (inBody !== undefined && inBody.toLowerCase() !== mediaType) {
    throw invalid(`mediaType is "${inBody.slice(0, 255)}", Content-Type is "${mediaType}"`);
  }
  if (imageTypes.has(mediaType) || indexTypes.has(mediaType)) {
    if (!json) throw invalid('not a JSON object');
    if (json['schemaVersion'] !== 2) throw invalid('schemaVersion is not 2');
  }
  return mediaType;
}

function guessType(json: Json): string | undefined {
  if (Array.isArray(json['manifests'])) return mediaTypes.ociIndex;
  return isObject(json['config']) ? mediaTypes.ociManifest : undefined;
}

type References = Pick<
  NewManifest,
  'blobs' | 'optionalBlobs' | 'children' | 'subject' | 'artifactType' | 'annotations'
>;

function readImage(json: Json | undefined, mediaType: string): References {
  if (!json || json['manifests'] !== undefined) throw invalid('both an image and an index');
  const config = descriptor(json['config'], 'config');
  const layers = descriptors(
    json['layers'] ?? (mediaType === mediaTypes.ociManifest ? [] : undefined),
    'layers',
  );
  const blobs = new Map<Digest, { digest: Digest; size: number }>();
  const optional = new Set<Digest>();
  for (const blob of [config, ...layers]) {
    if (isNonDistributable(blob.mediaType)) optional.add(blob.digest);
    else blobs.set(blob.digest, { digest: blob.digest, size: blob.size });
  }
  for (const digest of blobs.keys()) optional.delete(digest);
  const common = readCommon(json);
  return {
    ...common,
    artifactType: common.artifactType ?? config.mediaType,
    blobs: [...blobs.values()],
    optionalBlobs: [...optional],
    children: [],
  };
}

function readIndex(json: Json | undefined): References {
  if (!json || json['layers'] !== undefined || json['config'] !== undefined) {
    throw invalid('both an image and an index');
  }
  const children = new Set(descriptors(json['manifests'], 'manifests').map((child) => child.digest));
  return { ...readCommon(json), blobs: [], optionalBlobs: [], children: [...children] };
}

function readCommon(json: Json): Pick<NewManifest, 'subject' | 'artifactType' | 'annotations'> {
  const { subject, artifactType, annotations } = json;
  if (artifactType !== undefined && typeof artifactType !== 'string')
    throw invalid('artifactType is not a string');
  return {
    ...(subject === undefined || subject === null ? {} : { subject: descriptor(subject, 'subject').digest }),
    ...(artifactType ? { artifactType } : {}),
    ...(annotations === undefined || annotations === null ? {} : { annotations: stringMap(annotations) }),
  };
}

function stringMap(value: unknown): Readonly<Record<string, string>> {
  if (isObject(value) && Object.values(value).every((item) => typeof item === 'string')) {
    return value as Readonly<Record<string, string>>;
  }
  throw invalid('annotations are not a map of strings');
}

function descriptors(value: unknown, where: string): Descriptor[] {
  if (!Array.isArray(value)) throw invalid(`${where} is not a list`);
  if (value.length > maxReferences) throw invalid(`${where} has more than ${maxReferences} entries`);
  return value.map((item, index) => descriptor(item, `${where}[${index}]`));
}

function descriptor(value: unknown, where: string): Descriptor {
  if (!isObject(value)) throw invalid(`${where} is not a descriptor`);
  const { digest, size, mediaType } = value;
  if (typeof digest !== 'string' || !isDigest(digest)) throw invalid(`${where} has no valid digest`);
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw invalid(`${where} has no valid size`);
  }
  if (typeof mediaType !== 'string') throw invalid(`${where} has no mediaType`);
  return { digest, size, mediaType };
}

/** Layers that a registry need not have: OCI image spec layer.md#non-distributable-layers, Docker's foreign layers. */
function isNonDistributable(mediaType: string): boolean {
  return (
    mediaType.startsWith('application/vnd.oci.image.layer.nondistributable.v1.tar') ||
    mediaType === mediaTypes.dockerForeignLayer
  );
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
