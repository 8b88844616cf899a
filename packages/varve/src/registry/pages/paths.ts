import { type Digest, isDigest } from '../../oci/index.ts';
import { isRepositoryName, isTag } from '../names.ts';

/** What a path below `/ui/` names. */
export type PagePath =
  | { readonly kind: 'home' | 'search' | 'login' | 'logout' | 'style' }
  | { readonly kind: 'namespace'; readonly name: string }
  | { readonly kind: 'repository'; readonly repository: string }
  | { readonly kind: 'tag'; readonly repository: string; readonly tag: string }
  | { readonly kind: 'manifest' | 'blob'; readonly repository: string; readonly digest: Digest };

const fixed: ReadonlyMap<string, 'home' | 'search' | 'login' | 'logout' | 'style'> = new Map([
  ['', 'home'],
  ['search', 'search'],
  ['login', 'login'],
  ['logout', 'logout'],
  ['style.css', 'style'],
]);
const repositoryPattern = /^r\/(.+)\/(tags|manifests|blobs)\/([^/]+)$/;

/**
 * Reads a path below `/ui/`, given without that. Everything in it is checked; undefined for what is no page. A name that
 * ends like a tag's path is told from it by a slash at its end.
 */
export function parsePagePath(path: string): PagePath | undefined {
  const kind = fixed.get(path);
  if (kind) return { kind };
  const text = path.replace(/%3a/i, ':');
  if (text.startsWith('n/')) {
    const name = text.slice(2).replace(/\/$/, '');
    return isRepositoryName(name) ? { kind: 'namespace', name } : undefined;
  }
  const [, repository = '', what, last = ''] = repositoryPattern.exec(text) ?? [];
  if (what === 'tags' && isRepositoryName(repository) && isTag(last)) {
    return { kind: 'tag', repository, tag: last };
  }
  if ((what === 'manifests' || what === 'blobs') && isRepositoryName(repository) && isDigest(last)) {
    return { kind: what === 'manifests' ? 'manifest' : 'blob', repository, digest: last };
  }
  const name = text.startsWith('r/') ? text.slice(2).replace(/\/$/, '') : '';
  return isRepositoryName(name) ? { kind: 'repository', repository: name } : undefined;
}
