import type { PageContent } from './layout.ts';
import { trailTo } from './layout.ts';
import { type Html, html } from './html.ts';
import { homePath, namespaceLink, repositoryLink, searchPath, tagLink, withQuery } from './links.ts';
import { browse, type Entry } from './browse.ts';
import { nextPage, note, numbers, size, table } from './parts.ts';
import { maxTagsOfOne, search } from './search.ts';
import type { PageRequest, PageSources } from './types.ts';
import { quotaOf } from './usage.ts';

const entriesPerPage = 100;
const catalog = { type: 'registry', name: 'catalog' } as const;

/** `/ui/` and `/ui/n/…`: namespaces and repositories, those that may be seen. */
export async function listPage(
  request: PageRequest,
  sources: PageSources,
  namespace: string,
): Promise<PageContent> {
  await request.viewer.require(catalog, 'list');
  const after = request.query.get('after') ?? undefined;
  const { entries, next } = await browse(sources.metadata, request.viewer, {
    namespace,
    after: after?.slice(0, 300),
    limit: entriesPerPage,
  });
  const own = namespace === '' ? homePath : namespaceLink(namespace);
  const rows = await Promise.all(entries.map((entry) => entryRow(entry, namespace, sources)));
  const list =
    rows.length > 0
      ? table('Namespaces and repositories', ['Name', 'Kind', numbers('Billed')], rows)
      : note(after === undefined ? 'There is nothing here that you may see.' : 'There is nothing more.');
  const quota = namespace === '' ? undefined : await quotaOf(sources, namespace, { inside: true });
  return {
    title: namespace === '' ? 'Repositories' : `${namespace}/`,
    trail: namespace === '' ? [] : trailTo(namespace, { inside: false }),
    main: html`${quota}${list}${nextPage(next === undefined ? undefined : withQuery(own, { after: next }))}`,
  };
}

async function entryRow({ kind, name }: Entry, namespace: string, { metadata }: PageSources): Promise<Html> {
  const text = namespace === '' ? name : name.slice(namespace.length + 1);
  if (kind === 'namespace') {
    return html`<tr><th scope="row"><a href="${namespaceLink(name)}">${text}/</a></th><td>namespace</td>
<td class="number"><span class="dim">–</span></td></tr>\n`;
  }
  const used = await metadata.usedBytes('repository', name);
  return html`<tr><th scope="row"><a href="${repositoryLink(name)}">${text}</a></th><td>repository</td>
<td class="number">${size(used)}</td></tr>\n`;
}

/** `/ui/search?q=`: repositories and tags whose name has a text. */
export async function searchPage(request: PageRequest, sources: PageSources): Promise<PageContent> {
  await request.viewer.require(catalog, 'list');
  const text = (request.query.get('q') ?? '').trim().slice(0, 200);
  const base = { title: 'Search', trail: trailTo('search', { inside: false }), search: text };
  if (text === '') {
    return { ...base, main: note('Type a part of a repository’s name, or name:tag, into the field above.') };
  }
  const after = request.query.get('after')?.slice(0, 300);
  const { hits, looked, next } = await search(sources.metadata, request.viewer, text, after);
  const rows = hits.map(({ repository, tag }) => {
    const link = tag === undefined ? repositoryLink(repository) : tagLink(repository, tag);
    const name = tag === undefined ? repository : `${repository}:${tag}`;
    return html`<tr><th scope="row"><a href="${link}">${name}</a></th><td>${tag === undefined ? 'repository' : 'tag'}</td></tr>\n`;
  });
  const told = html`Looked at ${looked.repositories} names of repositories and ${looked.tags} tags (of one repository the first
${maxTagsOfOne}). ${next === undefined ? 'That was all.' : 'There are more to look at.'}`;
  return {
    ...base,
    main: html`${rows.length > 0 ? table(`What has “${text}” in its name`, ['Name', 'Kind'], rows) : note('Nothing was found.')}
<p class="dim" role="status">${told}</p>
${nextPage(next === undefined ? undefined : withQuery(searchPath, { q: text, after: next }), 'Search on')}`,
  };
}
