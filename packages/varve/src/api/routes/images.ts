import { VarveError } from '../../base/index.ts';
import { booleanFilter, checkFilters, type Filters, labelsMatch } from '../../engine/index.ts';
import type { LocalImage } from '../../image/index.ts';
import { parseCommitBody } from '../create-body.ts';
import type { Exchange } from '../exchange.ts';
import { referenceMatches } from '../reference-pattern.ts';
import type { Route } from '../route.ts';
import { since } from '../versions.ts';
import { familiar, historyView, imageInspect, imageSummary } from '../views/image-view.ts';

function list(exchange: Exchange): void {
  const { engine, query, version } = exchange;
  const filters: Filters = {
    ...query.filters(),
    ...(query.text('filter') === '' ? {} : { reference: [query.text('filter')] }),
  };
  checkFilters(filters, ['before', 'dangling', 'label', 'label!', 'reference', 'since', 'until']);
  const { images } = engine.core;
  const all = images.list();
  const created = (name: string): number => Date.parse(images.resolve(name).config.created ?? '');
  const before = (filters['before'] ?? []).map(created);
  const after = (filters['since'] ?? []).map(created);
  const dangling = booleanFilter(filters, 'dangling');
  const parents = new Set(all.map((image) => image.parent));
  const patterns = filters['reference'] ?? [];
  const matching = (references: readonly string[]): readonly string[] =>
    patterns.length === 0
      ? references
      : references.filter((reference) =>
          familiar([reference]).some((name) => patterns.some((pattern) => referenceMatches(pattern, name))),
        );
  const shown = (image: LocalImage): boolean => {
    const tagged = image.tags.length > 0;
    const time = Date.parse(image.config.created ?? '');
    if (dangling !== undefined && dangling === tagged) return false;
    // What is only a step of another image shows with `all` alone.
    if (
      !tagged &&
      image.digests.length === 0 &&
      parents.has(image.id) &&
      (!query.flag('all') || dangling === true)
    )
      return false;
    if (before.some((limit) => !(time < limit)) || after.some((limit) => !(time > limit))) return false;
    if (!labelsMatch(filters, image.config.config?.Labels)) return false;
    return patterns.length === 0 || matching([...image.tags, ...image.digests]).length > 0;
  };
  const found = all
    .filter(shown)
    .sort((a, b) => (Date.parse(b.config.created ?? '') || 0) - (Date.parse(a.config.created ?? '') || 0));
  const counted = version >= since.imageContainers;
  exchange.send(
    200,
    found.map((image) =>
      imageSummary(
        { ...image, tags: matching(image.tags), digests: matching(image.digests) },
        version,
        counted
          ? {
              containers: engine.core.containers.list().filter(({ record }) => record.imageId === image.id)
                .length,
            }
          : {},
      ),
    ),
  );
}

function inspect(exchange: Exchange): void {
  const { engine, version } = exchange;
  exchange.send(200, imageInspect(engine, engine.core.images.resolve(exchange.parameter('name')), version));
}

function history(exchange: Exchange): void {
  const { images } = exchange.engine.core;
  exchange.send(200, images.history(images.resolve(exchange.parameter('name'))).map(historyView));
}

function tag(exchange: Exchange): void {
  const { query } = exchange;
  const repository = query.text('repo');
  if (repository === '')
    throw new VarveError('invalid', 'NO_REPOSITORY', 'repository name must not be empty');
  const name = query.text('tag') === '' ? repository : `${repository}:${query.text('tag')}`;
  exchange.engine.images.tag(exchange.parameter('name'), name);
  exchange.sendStatus(201);
}

async function remove(exchange: Exchange): Promise<void> {
  const { query } = exchange;
  const removed = await exchange.engine.images.remove(exchange.parameter('name'), {
    force: query.flag('force'),
    noPrune: query.flag('noprune'),
  });
  exchange.send(200, removedView(removed));
}

function removedView(
  removed: Awaited<ReturnType<Exchange['engine']['images']['remove']>>,
): readonly Record<string, string>[] {
  return removed.map((item) =>
    'untagged' in item ? { Untagged: item.untagged } : { Deleted: item.deleted },
  );
}

async function prune(exchange: Exchange): Promise<void> {
  const { removed, bytes } = await exchange.engine.images.prune(exchange.query.filters());
  exchange.send(200, {
    ImagesDeleted: removed.length > 0 ? removedView(removed) : null,
    SpaceReclaimed: bytes,
  });
}

async function commit(exchange: Exchange): Promise<void> {
  const { query } = exchange;
  const body = await exchange.optionalJson();
  const repository = query.text('repo');
  const reference = query.text('tag') === '' ? repository : `${repository}:${query.text('tag')}`;
  const image = await exchange.engine.images.commit(query.text('container'), {
    ...(repository === '' ? {} : { reference }),
    comment: query.text('comment'),
    author: query.text('author'),
    pause: query.flag('pause', true),
    changes: query.all('changes'),
    config: parseCommitBody(body),
    signal: exchange.signal,
  });
  exchange.send(201, { Id: image.id });
}

function search(): never {
  throw new VarveError('not-found', 'NO_SEARCH', 'this engine does not search registries', {
    hint: 'look on the registry itself',
  });
}

export const imageRoutes: readonly Route[] = [
  { method: 'GET', path: '/images/json', handle: list },
  { method: 'GET', path: '/images/search', handle: search },
  { method: 'POST', path: '/images/prune', handle: prune },
  { method: 'GET', path: '/images/{name...}/json', handle: inspect },
  { method: 'GET', path: '/images/{name...}/history', handle: history },
  { method: 'POST', path: '/images/{name...}/tag', handle: tag },
  { method: 'DELETE', path: '/images/{name...}', handle: remove },
  { method: 'POST', path: '/commit', handle: commit },
];
