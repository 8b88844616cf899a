import type { Digest } from '../../oci/index.ts';
import { RegistryError } from '../errors.ts';
import { html } from './html.ts';
import { type PageContent, trailTo } from './layout.ts';
import { manifestLink } from './links.ts';
import { facts, note, shortDigest, size, table } from './parts.ts';
import type { PageRequest, PageSources } from './types.ts';

/** `/ui/r/…/blobs/<digest>`: a layer, or another blob, and what in the repository needs it. */
export async function blobPage(
  request: PageRequest,
  { metadata }: PageSources,
  { repository, digest }: { readonly repository: string; readonly digest: Digest },
): Promise<PageContent> {
  await request.viewer.require({ type: 'repository', name: repository }, 'pull');
  const blob = await metadata.blob(repository, digest);
  if (!blob) throw new RegistryError('BLOB_UNKNOWN', { message: `${repository} has no blob ${digest}` });
  const holders = await metadata.manifestsOfBlob(repository, digest);
  const rows = holders.map(
    (holder) =>
      html`<tr><th scope="row"><a class="mono" href="${manifestLink(repository, holder)}">${holder}</a></th></tr>\n`,
  );
  return {
    title: `Blob ${shortDigest(digest)}`,
    trail: trailTo(repository, { inside: true }),
    main: html`${facts([
      ['Digest', html`<span class="mono">${digest}</span>`],
      ['Size', size(blob.size)],
      ['In the API', html`<code>/v2/${repository}/blobs/${digest}</code>`],
    ])}
<h2>Needed by</h2>
${rows.length > 0 ? table('Manifests of this repository that name it', ['Manifest'], rows) : note('No manifest of this repository names it.')}`,
  };
}
