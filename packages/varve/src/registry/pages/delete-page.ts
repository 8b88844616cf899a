import type { Digest } from '../../oci/index.ts';
import { RegistryError } from '../errors.ts';
import type { ManifestReference } from '../names.ts';
import { html } from './html.ts';
import { type PageContent, trailTo } from './layout.ts';
import { findSubject } from './manifest-page.ts';
import { facts, note } from './parts.ts';
import type { PageRequest, PageSources } from './types.ts';

/** What a delete is about. */
export interface DeletePath {
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

/** Asks whether a tag or a manifest is to go. */
export async function confirmDeletePage(
  request: PageRequest,
  sources: PageSources,
  path: DeletePath,
  token: string,
): Promise<PageContent> {
  const { repository } = path;
  const resource = { type: 'repository', name: repository } as const;
  await request.viewer.require(resource, 'pull');
  await request.viewer.require(resource, 'delete');
  if (!sources.deleteEnabled || sources.readOnly) {
    throw new RegistryError('UNSUPPORTED', { message: 'deleting is off (storage.delete.enabled)' });
  }
  const { tag, digest } = await findSubject(sources, path);
  const trail = trailTo(repository, { inside: true });
  const title = tag ? `Delete ${repository}:${tag.name}?` : `Delete ${repository}@${digest}?`;
  if (tag && sources.immutableTags(repository)?.(tag.name)) {
    return { title, trail, main: note('This tag is immutable: it cannot be deleted.') };
  }
  return {
    title,
    trail,
    main: html`${facts([
      ['Repository', repository],
      ['Tag', tag?.name],
      ['Manifest', html`<span class="mono">${digest}</span>`],
    ])}
<p>${tag ? 'The tag goes at once. Its manifest stays until a collection finds that nothing leads to it.' : 'The manifest and every tag that points at it go at once.'} This cannot be taken back.</p>
<form action="${request.path}" method="post">
<input type="hidden" name="action" value="delete">
<input type="hidden" name="digest" value="${digest}">
<input type="hidden" name="token" value="${token}">
<p class="actions"><button class="danger">Delete</button> <a class="button" href="${request.path}">Keep</a></p>
</form>`,
  };
}

/**
 * Deletes what the form was about. A tag that points elsewhere by now was not what was asked about, and stays.
 * @throws RegistryError
 */
export async function deleteSubject(
  request: PageRequest,
  sources: PageSources,
  path: DeletePath,
  form: URLSearchParams,
): Promise<void> {
  const { repository, tag } = path;
  await request.viewer.require({ type: 'repository', name: repository }, 'delete');
  const { digest } = await findSubject(sources, path);
  if (form.get('digest') !== digest) {
    throw new RegistryError('DENIED', {
      status: 409,
      message: 'the tag was pushed again meanwhile: look at it first',
    });
  }
  const target: ManifestReference = tag === undefined ? { digest } : { tag };
  await request.remove(repository, target);
}
