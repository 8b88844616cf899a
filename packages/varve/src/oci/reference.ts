import { VarveError } from '../base/index.ts';
import { parseDigest } from './digest.ts';
import type { Digest } from './types.ts';

/**
 * A normalised image name, as Docker's reference grammar reads it: `app` is `docker.io` / `library/app`.
 * Plain data: build new ones with the functions of this file or with {@link parseReference}.
 */
export interface Reference {
  /** Registry host with its port, e.g. `docker.io`, `127.0.0.1:5000`, `[::1]:5000`. */
  readonly domain: string;
  /** Repository inside the registry, e.g. `library/app`. */
  readonly path: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

const defaultDomain = 'docker.io';
const legacyDomain = 'index.docker.io';
const officialPrefix = 'library/';
/** Longest repository path of the grammar. */
const pathLimit = 255;
/** A reference of legal parts is shorter; longer text is refused before any pattern sees it. */
const textLimit = 1024;

const domainPattern =
  /^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?$/;
const pathPattern = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/;
const tagPattern = /^\w[\w.-]{0,127}$/;
const digestPattern = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/;

function invalid(text: string, message = 'invalid reference format'): VarveError {
  return new VarveError('invalid', 'NAME_INVALID', message, { subject: text.slice(0, 300) });
}

/** True when a first path component is read as a registry host and not as a namespace of docker.io. */
function looksLikeDomain(component: string): boolean {
  return component === 'localhost' || /[.:]/.test(component) || component !== component.toLowerCase();
}

function splitDomain(text: string): { readonly domain: string; readonly rest: string } {
  const slash = text.indexOf('/');
  const first = text.slice(0, slash);
  const named = slash !== -1 && looksLikeDomain(first);
  const domain = named && first !== legacyDomain ? first : defaultDomain;
  const rest = named ? text.slice(slash + 1) : text;
  return { domain, rest: domain === defaultDomain && !rest.includes('/') ? officialPrefix + rest : rest };
}

function make(domain: string, path: string, tag: string | undefined, digest: Digest | undefined): Reference {
  return {
    domain,
    path,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

function parseReferenceDigest(text: string, whole: string): Digest {
  if (!digestPattern.test(text)) throw invalid(whole);
  if (!/^sha(256|512):/.test(text)) throw invalid(whole, 'unsupported digest algorithm');
  try {
    return parseDigest(text);
  } catch (error) {
    const upper = /[A-F]/.test(text.slice(text.indexOf(':')));
    throw new VarveError(
      'invalid',
      'DIGEST_INVALID',
      upper ? 'invalid checksum digest format' : 'invalid checksum digest length',
      { subject: whole, cause: error },
    );
  }
}

/**
 * Reads a name as Docker's command line takes it: `app`, `app:1`, `host:5000/a/b@sha256:…`. No tag is added.
 * Grammar: distribution/reference (`reference ::= name [":" tag] ["@" digest]`), with Docker's short forms.
 * Unlike there, a host that is no legal host is refused even if it would pass as a path component.
 * @throws VarveError `invalid` in Docker's words.
 */
export function parseReference(text: string): Reference {
  if (text.length > textLimit) throw invalid(text);
  if (/^[a-f0-9]{64}$/.test(text)) {
    throw invalid(text, `invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  }
  const { domain, rest } = splitDomain(text);
  const at = rest.indexOf('@');
  const beforeDigest = at === -1 ? rest : rest.slice(0, at);
  const colon = beforeDigest.indexOf(':');
  const path = colon === -1 ? beforeDigest : beforeDigest.slice(0, colon);
  const tag = colon === -1 ? undefined : beforeDigest.slice(colon + 1);
  if (path !== path.toLowerCase()) {
    throw invalid(text, `invalid reference format: repository name (${path}) must be lowercase`);
  }
  if (!domainPattern.test(domain) || !pathPattern.test(path)) throw invalid(text);
  if (tag !== undefined && !tagPattern.test(tag)) throw invalid(text);
  if (path.length > pathLimit) {
    throw invalid(text, `repository name must not be more than ${pathLimit} characters`);
  }
  return make(domain, path, tag, at === -1 ? undefined : parseReferenceDigest(rest.slice(at + 1), text));
}

/** True when `tag` is legal in a reference (128 characters of `A-Za-z0-9_.-`, not starting with `.` or `-`). */
export function isTag(tag: string): boolean {
  return tagPattern.test(tag);
}

/** `docker.io/library/app`: the repository without tag and digest. */
export function canonicalName(reference: Reference): string {
  return `${reference.domain}/${reference.path}`;
}

/**
 * `app`, `user/app`, `host:5000/app`: the repository as Docker shows it. It always parses back to the same
 * repository; docker.io stays in front where the short form would mean another one.
 */
export function familiarName(reference: Reference): string {
  const { domain, path } = reference;
  if (domain !== defaultDomain) return canonicalName(reference);
  const short = path.startsWith(officialPrefix) ? path.slice(officialPrefix.length) : path;
  const name = short.includes('/') ? path : short;
  const first = name.slice(0, Math.max(name.indexOf('/'), 0));
  if ((first !== '' && looksLikeDomain(first)) || /^[a-f0-9]{64}$/.test(name))
    return canonicalName(reference);
  return name;
}

function suffix(reference: Reference): string {
  const tag = reference.tag === undefined ? '' : `:${reference.tag}`;
  return reference.digest === undefined ? tag : `${tag}@${reference.digest}`;
}

/** `docker.io/library/app:latest`: the form that is stored. */
export function canonicalReference(reference: Reference): string {
  return canonicalName(reference) + suffix(reference);
}

/** `app:latest`: the form that is shown. */
export function familiarReference(reference: Reference): string {
  return familiarName(reference) + suffix(reference);
}

/** Adds `:latest` to a reference with neither tag nor digest. */
export function withDefaultTag(reference: Reference): Reference {
  if (reference.tag !== undefined || reference.digest !== undefined) return reference;
  return { ...reference, tag: 'latest' };
}

/** The same repository under another tag, without a digest. @throws VarveError `invalid` for a bad tag. */
export function withTag(reference: Reference, tag: string): Reference {
  if (!isTag(tag)) throw invalid(tag, 'invalid tag format');
  return make(reference.domain, reference.path, tag, undefined);
}

/** The same repository by digest, without a tag. */
export function withDigest(reference: Reference, digest: Digest): Reference {
  return make(reference.domain, reference.path, undefined, digest);
}
