import { type Digest, isDigest } from '../oci/index.ts';
import { RegistryError } from './errors.ts';

// The grammars of spec.md#pulling-manifests; docker/distribution bounds the name to 255.
const namePattern = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const tagPattern = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const maxNameLength = 255;

/** True for a repository name such as `library/app`. */
export function isRepositoryName(name: string): boolean {
  return name.length <= maxNameLength && namePattern.test(name);
}

/** @throws RegistryError `NAME_INVALID` */
export function checkRepositoryName(name: string): string {
  if (isRepositoryName(name)) return name;
  throw new RegistryError('NAME_INVALID', { detail: { name: name.slice(0, 300) } });
}

/** True for a tag: 128 characters at most of letters, digits, `_`, `.` and `-`, the last two not first. */
export function isTag(tag: string): boolean {
  return tagPattern.test(tag);
}

/** @throws RegistryError `DIGEST_INVALID` for anything but a canonical sha256 or sha512 digest. */
export function checkDigest(text: string | null | undefined): Digest {
  if (text && isDigest(text)) return text;
  throw new RegistryError('DIGEST_INVALID', {
    message: 'invalid digest',
    detail: { digest: (text ?? '').slice(0, 300) },
  });
}

/** What `<reference>` of a manifest's path is. */
export type ManifestReference = { readonly tag: string } | { readonly digest: Digest };

/** @throws RegistryError `DIGEST_INVALID` when it holds a colon and is no digest, `TAG_INVALID` when it is no tag. */
export function parseManifestReference(text: string): ManifestReference {
  if (text.includes(':')) return { digest: checkDigest(text) };
  if (isTag(text)) return { tag: text };
  throw new RegistryError('TAG_INVALID', { message: 'invalid tag', detail: { tag: text.slice(0, 300) } });
}

/** Text that comes after every name before `prefix`, and before all that begin with it: names are ASCII. */
export function justBefore(prefix: string): string | undefined {
  if (prefix === '') return undefined;
  const last = prefix.charCodeAt(prefix.length - 1);
  return `${prefix.slice(0, -1)}${String.fromCharCode(last - 1)}\u{10ffff}`;
}

/** The later of two names by their bytes. */
export function laterOf(one: string | undefined, other: string | undefined): string | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return Buffer.compare(Buffer.from(one), Buffer.from(other)) > 0 ? one : other;
}
