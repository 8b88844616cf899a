import { checkSchema1, openSchema1, schema1SignedType } from '../../distribution/index.ts';
import { type Digest, digestOf, isDigest } from '../../oci/index.ts';
import { RegistryError } from '../errors.ts';
import type { NewManifest } from '../metadata/index.ts';
import { isRepositoryName, isTag } from '../names.ts';

const typePrefix = 'application/vnd.docker.distribution.manifest.v1+';
/** Types that docker/distribution reads as schema 1 when the body is; clients of that time sent no better ones. */
const vagueTypes: ReadonlySet<string | undefined> = new Set([undefined, '', 'application/json']);
// Each is a look-up inside the transaction; images have at most some hundreds.
const maxLayers = 10_000;
const members = ['schemaVersion', 'name', 'tag', 'architecture', 'fsLayers', 'history', 'signatures'];

type Json = Readonly<Record<string, unknown>>;

/** What a push of a manifest of schema 1 has to agree with. */
export interface Schema1Push {
  /** `compatibility.schema1.enabled` */
  readonly enabled: boolean;
  readonly repository: string;
  /** undefined for a push by digest. */
  readonly tag: string | undefined;
}

/** Whether a body is a Docker manifest of schema 1. @param type of the Content-Type header, in lower case */
export function isSchema1(type: string | undefined, json: Json | undefined): boolean {
  if (type?.startsWith(typePrefix)) return true;
  return vagueTypes.has(type) && json?.['schemaVersion'] === 1 && Array.isArray(json['fsLayers']);
}

/**
 * Reads a signed manifest of schema 1 (docker/distribution, docs/spec/manifest-v2-1.md). Kept and served is the envelope, its
 * digest is that of what the signatures are of. Blobs come without sizes: it does not say them.
 * @param push asks for more where it is a push: that it is let, and that name and tag are those of the URL
 * @throws RegistryError `MANIFEST_INVALID`, `MANIFEST_UNVERIFIED`, `DIGEST_INVALID`, `NAME_INVALID`, `TAG_INVALID`
 */
export function readSchema1(
  bytes: Uint8Array,
  expected: Digest | undefined,
  push: Schema1Push | undefined,
): NewManifest {
  if (push?.enabled === false) {
    throw invalid('schema 1 is not enabled (compatibility.schema1.enabled): push schema 2 or OCI');
  }
  const envelope = openSchema1(bytes);
  if (typeof envelope === 'string') throw invalid(envelope);
  const { document, payload } = envelope;
  const digest = digestOf(payload, expected?.startsWith('sha512:') ? 'sha512' : 'sha256');
  if (expected !== undefined && digest !== expected) {
    throw new RegistryError('DIGEST_INVALID', { detail: { expected, actual: digest } });
  }
  const blobs = readLayers(document);
  const reason = checkSchema1(envelope, []);
  if (reason !== undefined) throw new RegistryError('MANIFEST_UNVERIFIED', { detail: { reason } });
  requireNamed(document, push);
  return {
    digest,
    mediaType: schema1SignedType,
    size: bytes.length,
    bytes,
    blobs,
    optionalBlobs: [],
    children: [],
  };
}

function readLayers(document: Json): { readonly digest: Digest }[] {
  const { schemaVersion, fsLayers, history } = document;
  for (const name of Object.keys(document)) {
    // Docker's decoder takes either.
    if (members.some((member) => member !== name && member.toLowerCase() === name.toLowerCase()))
      throw invalid(`the member "${name.slice(0, 64)}" is ambiguous`);
  }
  if (schemaVersion !== 1) throw invalid('schemaVersion is not 1');
  if (!Array.isArray(fsLayers) || fsLayers.length === 0) throw invalid('fsLayers is not a list of layers');
  if (fsLayers.length > maxLayers) throw invalid(`fsLayers has more than ${maxLayers} entries`);
  if (!Array.isArray(history) || history.length !== fsLayers.length)
    throw invalid('history is not as long as fsLayers');
  const digests = fsLayers.map((item, index) => {
    const { blobSum } = (item ?? {}) as Json;
    if (typeof blobSum !== 'string' || !isDigest(blobSum))
      throw invalid(`fsLayers[${index}] has no valid digest`);
    return blobSum;
  });
  return [...new Set(digests)].map((digest) => ({ digest }));
}

function requireNamed({ name, tag }: Json, push: Schema1Push | undefined): void {
  if (typeof name !== 'string' || !isRepositoryName(name)) {
    throw new RegistryError('NAME_INVALID', { detail: { name: shown(name) } });
  }
  if (typeof tag !== 'string' || (tag !== '' && !isTag(tag))) {
    throw new RegistryError('TAG_INVALID', { detail: { tag: shown(tag) } });
  }
  if (!push) return;
  if (name !== push.repository) {
    throw new RegistryError('NAME_INVALID', {
      message: 'the name in the manifest is not that of the URL',
      detail: { name, expected: push.repository },
    });
  }
  if (push.tag !== undefined && tag !== push.tag) {
    throw new RegistryError('TAG_INVALID', { detail: { tag, expected: push.tag } });
  }
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, 300) : 'not a text';
}

function invalid(message: string): RegistryError {
  return new RegistryError('MANIFEST_INVALID', { message: `manifest invalid: ${message}` });
}
