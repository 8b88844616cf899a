/** What a path names: of the distribution API (spec.md#endpoints), from `token` on of access control, and the pages. */
export type RouteKind =
  | 'base'
  | 'catalog'
  | 'tags'
  | 'manifest'
  | 'blob'
  | 'uploads'
  | 'upload'
  | 'referrers'
  | 'token'
  | 'keys'
  | 'robots'
  | 'robot'
  | 'access'
  | 'page';

export interface Route {
  readonly kind: RouteKind;
  /** The repository; empty for what is not in one. Not checked. */
  readonly name: string;
  /** The last segment: tag, digest or upload id. Not checked. */
  readonly reference: string;
}

const prefix = '/v2/';
const none = { name: '', reference: '' };

const robotPath = '/varve/robots/';
const fixedPaths: ReadonlyMap<string, RouteKind> = new Map([
  ['/token', 'token'],
  ['/.well-known/jwks.json', 'keys'],
  ['/varve/robots', 'robots'],
  ['/varve/access', 'access'],
  ['/', 'page'],
  ['/ui', 'page'],
]);

/**
 * Finds the route of a path. Names have slashes, so the path is read from its end: the last segment never has one,
 * and what stands before it tells the kind. Returns undefined for a path that is no part of the API.
 */
export function findRoute(rawPath: string): Route | undefined {
  if (rawPath === '/v2/' || rawPath === '/v2') return { kind: 'base', ...none };
  if (rawPath === '/v2/_catalog') return { kind: 'catalog', ...none };
  const slash = rawPath.lastIndexOf('/');
  if (!rawPath.startsWith(prefix)) {
    const kind = fixedPaths.get(rawPath);
    if (kind) return { kind, ...none };
    if (rawPath.startsWith('/ui/')) return { kind: 'page', ...none };
    if (!rawPath.startsWith(robotPath)) return undefined;
    return { kind: 'robot', name: '', reference: decode(rawPath.slice(robotPath.length)) };
  }
  if (slash < prefix.length) return undefined;
  // Decoded apart: an encoded slash stays inside its part.
  const reference = decode(rawPath.slice(slash + 1));
  const before = decode(rawPath.slice(prefix.length, slash));
  const named = (kind: RouteKind, marker: string, last = reference): Route => ({
    kind,
    name: before.slice(0, -marker.length),
    reference: last,
  });
  if (before.endsWith('/manifests')) return named('manifest', '/manifests');
  if (before.endsWith('/blobs/uploads')) {
    return named(reference === '' ? 'uploads' : 'upload', '/blobs/uploads');
  }
  if (before.endsWith('/blobs')) return named(reference === 'uploads' ? 'uploads' : 'blob', '/blobs');
  if (before.endsWith('/referrers')) return named('referrers', '/referrers');
  if (reference === 'list' && before.endsWith('/tags')) return named('tags', '/tags', '');
  return undefined;
}

/** Percent-decodes; what is not well encoded stays as it is, and fails the checks of names and digests. */
function decode(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
