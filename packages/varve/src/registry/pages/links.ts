import type { Digest } from '../../oci/index.ts';

export const homePath = '/ui/';
export const loginPath = '/ui/login';
export const logoutPath = '/ui/logout';
export const searchPath = '/ui/search';
export const stylePath = '/ui/style.css';

// Names of repositories and tags, and digests, have no character that a path or a query would have to encode.

export function namespaceLink(namespace: string): string {
  return `/ui/n/${namespace}`;
}

/** With a slash at the end where the name would otherwise be read as a tag's page. */
export function repositoryLink(repository: string): string {
  return /\/tags\/[^/]+$/.test(repository) ? `/ui/r/${repository}/` : `/ui/r/${repository}`;
}

export function tagLink(repository: string, tag: string): string {
  return `/ui/r/${repository}/tags/${tag}`;
}

export function manifestLink(repository: string, digest: Digest): string {
  return `/ui/r/${repository}/manifests/${digest}`;
}

export function blobLink(repository: string, digest: Digest): string {
  return `/ui/r/${repository}/blobs/${digest}`;
}

/** A path with a query; members that are undefined are left out. */
export function withQuery(path: string, query: Readonly<Record<string, string | undefined>>): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value !== undefined) search.set(key, value);
  return search.size === 0 ? path : `${path}?${search.toString()}`;
}
