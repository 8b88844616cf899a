import type { Readable } from 'node:stream';
import { RegistryError } from '../errors.ts';
import type { PageRequest, PageSources } from '../pages/index.ts';
import type { Exchange } from './exchange.ts';
import { deleteReference } from './manifests.ts';
import type { Handler, Services } from './services.ts';

const maxFormBytes = 64 * 1024;

/** The pages for browsers, and the way to them from `/`. */
export const showPage: Handler = async (exchange, services) => {
  const { pages } = services;
  const path = exchange.path;
  const wantsPage = exchange.header('accept')?.includes('text/html') ?? false;
  if (!pages || (path === '/' && !wantsPage)) {
    throw new RegistryError('NAME_UNKNOWN', { message: 'no such endpoint' });
  }
  if (path === '/') return exchange.send(302, ['Location', '/ui/', 'Vary', 'Accept']);
  const { status, headers, body } = await pages.answer(requestOf(exchange, services), sourcesOf(services));
  exchange.send(status, headers, body);
};

/** A failure of a page, as a page. */
export function showFailure(exchange: Exchange, { pages, auth }: Services, error: RegistryError): boolean {
  if (!pages) return false;
  const { request, path, query, identity, asking } = exchange;
  const method = request.method ?? '';
  const { status, headers, body } = pages.failure(
    { method, path, query, identity, asking },
    auth.sessions,
    error,
  );
  exchange.send(status, headers, body);
  return true;
}

function requestOf(exchange: Exchange, services: Services): PageRequest {
  const { request, path, query, identity, asking } = exchange;
  return {
    method: request.method ?? '',
    path,
    query,
    identity,
    asking,
    viewer: {
      sees: exchange.sees,
      prefixes: exchange.prefixes,
      require: exchange.require,
      allows: exchange.allows,
    },
    form: async () => new URLSearchParams((await exchange.readBody(maxFormBytes, tooLarge)).toString()),
    remove: async (repository, target) => {
      if (services.readOnly) {
        throw new RegistryError('UNSUPPORTED', { message: 'the registry is read-only' });
      }
      await exchange.require({ type: 'repository', name: repository }, 'delete');
      await deleteReference(exchange, services, repository, target);
    },
  };
}

function sourcesOf({
  metadata,
  storage,
  quota,
  immutableTags,
  deleteEnabled,
  readOnly,
  auth,
}: Services): PageSources {
  return {
    metadata,
    storage: { read: (digest): Promise<Readable> => storage.read(digest) },
    quota,
    immutableTags,
    deleteEnabled,
    readOnly,
    sessions: auth.sessions,
  };
}

function tooLarge(): RegistryError {
  return new RegistryError('SIZE_INVALID', { status: 413, message: 'the form is too large' });
}
