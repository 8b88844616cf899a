import type { Digest } from '../../oci/index.ts';
import { RegistryError } from '../errors.ts';
import type { TagRecord } from '../metadata/index.ts';
import { cut, type Html, html } from './html.ts';
import { type PageContent, trailTo } from './layout.ts';
import { manifestLink, repositoryLink, tagLink, withQuery } from './links.ts';
import { Manifests } from './manifests.ts';
import { facts, nextPage, note, numbers, shortDigest, size, table, time } from './parts.ts';
import type { PageRequest, PageSources } from './types.ts';
import { quotaOf } from './usage.ts';

const tagsPerPage = 50;
/** Manifests and configs read for one page, those in indexes included. */
const readsPerPage = 400;
/** Tags looked at for one page where only some are wanted. */
const maxLooked = 10_000;

/** `/ui/r/<repository>`: its tags, and what it uses. */
export async function repositoryPage(
  request: PageRequest,
  sources: PageSources,
  repository: string,
): Promise<PageContent> {
  await request.viewer.require({ type: 'repository', name: repository }, 'pull');
  const { metadata } = sources;
  if (!(await metadata.hasRepository(repository))) {
    throw new RegistryError('NAME_UNKNOWN', { message: `there is no repository ${repository}` });
  }
  const filter = (request.query.get('q') ?? '').trim().slice(0, 128);
  const after = request.query.get('after')?.slice(0, 128);
  const { tags, next } = await findTags(sources, repository, filter, after);
  const manifests = new Manifests(sources, repository, readsPerPage);
  const immutable = sources.immutableTags(repository);
  const rows: Html[] = [];
  for (const tag of tags) rows.push(await tagRow(repository, tag, manifests, immutable?.(tag.name) ?? false));
  const heads = ['Tag', 'Digest', 'Platforms', numbers('Size'), 'Pushed (UTC)', 'Pulled (UTC)'];
  const own = repositoryLink(repository);
  const link = next === undefined ? undefined : withQuery(own, { q: filter || undefined, after: next });
  const used = await metadata.usedBytes('repository', repository);
  return {
    title: repository,
    trail: trailTo(repository, { inside: false }),
    main: html`${facts([['Billed', size(used)]])}${await quotaOf(sources, repository, { inside: false })}
<h2>Tags</h2>
<form class="actions" action="${own}" method="get"><label for="filter">Only those with</label>
<input id="filter" name="q" value="${filter}" maxlength="128"><button>Show</button></form>
${rows.length > 0 ? table(`Tags of ${repository}`, heads, rows) : note(next === undefined ? 'There are no such tags.' : `None among the ${maxLooked} looked at.`)}
${nextPage(link)}`,
  };
}

async function findTags(
  { metadata }: PageSources,
  repository: string,
  filter: string,
  start: string | undefined,
): Promise<{ readonly tags: readonly TagRecord[]; readonly next: string | undefined }> {
  const wanted = filter.toLowerCase();
  const limit = filter === '' ? tagsPerPage + 1 : 1000;
  const tags: TagRecord[] = [];
  let after = start;
  for (let looked = 0; looked < maxLooked; looked += limit) {
    const found = await metadata.tagRecords(repository, { after, limit });
    for (const tag of found) {
      if (!tag.name.toLowerCase().includes(wanted)) continue;
      if (tags.length === tagsPerPage) return { tags, next: tags.at(-1)?.name };
      tags.push(tag);
    }
    if (found.length < limit) return { tags, next: undefined };
    after = found.at(-1)?.name;
  }
  return { tags, next: after };
}

async function tagRow(
  repository: string,
  { name, digest, updatedAt, pulledAt }: TagRecord,
  manifests: Manifests,
  immutable: boolean,
): Promise<Html> {
  const manifest = await manifests.read(digest);
  const platforms = manifest ? await manifests.platformsOf(manifest) : [];
  const total = manifest && (await manifests.totalBytes(manifest));
  const broken = manifest && !manifest.parsed;
  return html`<tr><th scope="row"><a href="${tagLink(repository, name)}">${name}</a>${immutable && html` <span class="badge">immutable</span>`}</th>
<td class="digest">${digestLink(repository, digest)}</td>
<td>${platforms.length > 0 ? cut(platforms.slice(0, 12).join(', '), 300) : html`<span class="dim">${broken ? manifest.mediaType : '–'}</span>`}${platforms.length > 12 && ', …'}</td>
<td class="number">${size(total)}</td><td>${time(updatedAt)}</td><td>${time(pulledAt)}</td></tr>\n`;
}

/** The beginning of a digest that leads to its manifest; read aloud, it is told from the link of the tag. */
export function digestLink(repository: string, digest: Digest): Html {
  return html`<a href="${manifestLink(repository, digest)}" title="${digest}">${shortDigest(digest)}</a>`;
}
