import { setImmediate } from 'node:timers/promises';
import { mediaTypes } from '../../oci/index.ts';
import { RegistryError } from '../errors.ts';
import type { MetadataStore } from '../metadata/index.ts';
import { checkDigest, justBefore, laterOf } from '../names.ts';
import type { Exchange } from './exchange.ts';
import { cutPage, nextLink, type RequestedPage, readPage } from './paging.ts';
import type { Handler } from './services.ts';

const maxTags = 10_000;
const maxRepositories = 1000;
const repositoriesPerStep = 1000;
const maxReferrers = 1000;
// Clients bound a manifest, and this is one, by 4 MiB.
const maxReferrersBytes = 3 * 1024 * 1024;

/** GET /v2/: the registry is there. spec.md#determining-support. */
export const base: Handler = (exchange) => exchange.send(200, jsonHeaders, '{}');

/** The tags of a repository. spec.md#listing-tags. */
export const listTags: Handler = async (exchange, { metadata, proxy }) => {
  const { name } = exchange.route;
  const page = readPage(exchange.query, maxTags);
  const elsewhere = await proxy.tags(name);
  if (!elsewhere && !(await metadata.hasRepository(name))) {
    throw new RegistryError('NAME_UNKNOWN', { detail: { name } });
  }
  const { after = '', limit } = page;
  const found = page.empty
    ? []
    : (elsewhere?.filter((tag) => tag > after).slice(0, limit + 1) ??
      (await metadata.tags(name, { after, limit: limit + 1 })));
  const { items, more } = cutPage(found, page.limit);
  sendJson(
    exchange,
    { name, tags: items },
    more ? next(`/v2/${name}/tags/list`, page.limit, items.at(-1)) : [],
  );
};

/** The repositories that the client may see: docker/distribution's extension, paged as tags are. */
export const listRepositories: Handler = async (exchange, { metadata }) => {
  const page = readPage(exchange.query, maxRepositories);
  const visible = page.empty ? [] : await visibleRepositories(exchange, metadata, page);
  // The page ends with a name that was shown: a Link tells of no other.
  const { items, more } = cutPage(visible, page.limit);
  sendJson(exchange, { repositories: items }, more ? next('/v2/_catalog', page.limit, items.at(-1)) : []);
};

/** One more than the page of what the client sees, read in steps that let others go first. */
async function visibleRepositories(
  exchange: Exchange,
  metadata: MetadataStore,
  page: RequestedPage,
): Promise<string[]> {
  const visible: string[] = [];
  for (const prefix of exchange.prefixes()) {
    for (let after = laterOf(page.after, justBefore(prefix)); ; ) {
      const found = await metadata.repositories({ after, limit: repositoriesPerStep });
      const inside = found.filter((name) => name.startsWith(prefix));
      visible.push(...inside.filter(exchange.sees));
      if (visible.length > page.limit) return visible;
      if (inside.length < repositoriesPerStep) break;
      after = inside.at(-1);
      await setImmediate();
    }
  }
  return visible;
}

/** The manifests whose subject is this one, as an index. spec.md#listing-referrers. */
export const listReferrers: Handler = async (exchange, { metadata, proxy }) => {
  const { name, reference } = exchange.route;
  const subject = checkDigest(reference);
  const artifactType = exchange.query.get('artifactType') || undefined;
  const after = exchange.query.get('last') ?? undefined;
  const elsewhere = await proxy.referrers(name, subject);
  const found =
    elsewhere
      ?.filter((item) => artifactType === undefined || item.artifactType === artifactType)
      .filter(({ digest }) => digest > (after ?? ''))
      .slice(0, maxReferrers + 1) ??
    (await metadata.referrers(name, subject, { after, limit: maxReferrers + 1, artifactType }));
  const page = cutPage(found, maxReferrers);
  let size = 0;
  let count = 0;
  for (const item of page.items) {
    size += Buffer.byteLength(JSON.stringify(item));
    if (size > maxReferrersBytes && count > 0) break;
    count++;
  }
  const manifests = page.items.slice(0, count);
  const last = manifests.at(-1)?.digest;
  const filter: Record<string, string> = artifactType === undefined ? {} : { artifactType };
  const headers = artifactType === undefined ? [] : ['OCI-Filters-Applied', 'artifactType'];
  if (last !== undefined && (page.more || count < page.items.length)) {
    headers.push('Link', nextLink(`/v2/${name}/referrers/${subject}`, { ...filter, last }));
  }
  const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
  exchange.send(200, ['Content-Type', mediaTypes.ociIndex, ...headers], JSON.stringify(index));
};

const jsonHeaders = ['Content-Type', 'application/json; charset=utf-8'];

function sendJson(exchange: Exchange, value: unknown, headers: readonly string[]): void {
  exchange.send(200, [...jsonHeaders, ...headers], `${JSON.stringify(value)}\n`);
}

function next(path: string, limit: number, last: string | undefined): string[] {
  return last === undefined ? [] : ['Link', nextLink(path, { last, n: limit })];
}
