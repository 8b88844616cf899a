import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import {
  type AccessControl,
  type AccessRequest,
  type Action,
  anonymous,
  formatScope,
  type Identity,
  type Resource,
  scopeFor,
  subjectOf,
} from '../auth/index.ts';
import { errorBody, RegistryError } from '../errors.ts';
import { checkRepositoryName } from '../names.ts';
import { accessRequestOf } from './access-request.ts';
import type { TrustedProxies } from './client-address.ts';
import { Exchange, type HeaderList } from './exchange.ts';
import type { Metrics, Tracing } from '../operations/index.ts';
import type { RateLimit } from './rate-limit.ts';
import { showFailure } from './pages.ts';
import { findRoute, type Route } from './router.ts';
import { type Operation, routes } from './routes.ts';
import type { Services } from './services.ts';

/** What one registry's HTTP face is made of. */
export interface DispatchParts {
  readonly services: Services;
  readonly access: AccessControl;
  readonly logger: Logger;
  readonly accessLog: boolean;
  readonly readOnly: boolean;
  /**
   * Whether a page in a browser may write. A browser sends Origin with every write and no other client does; without
   * this check any web page could push to the open registry of whoever looks at it.
   */
  readonly crossOriginWrites: boolean;
  readonly commonHeaders: HeaderList;
  /** Whose X-Forwarded-For is believed. */
  readonly proxies: TrustedProxies;
  /** How often one client may do what. */
  readonly rateLimit: RateLimit;
  /** Counts requests, where somebody looks. */
  readonly metrics: Metrics | undefined;
  /** Traces requests, where somebody collects them. */
  readonly tracing: Tracing | undefined;
}

const baseResource: Resource = { type: 'registry', name: 'base' };
const catalogResource: Resource = { type: 'registry', name: 'catalog' };
const noRoute: Route = { kind: 'base', name: '', reference: '' };

/** Answers one request: route, name, access, handler; then the access log. Never rejects. */
export async function dispatch(
  parts: DispatchParts,
  request: IncomingMessage,
  response: ServerResponse,
  awaitsContinue: boolean,
): Promise<void> {
  const startedAt = performance.now();
  parts.metrics?.started();
  const url = request.url ?? '/';
  const mark = url.indexOf('?');
  const path = mark < 0 ? url : url.slice(0, mark);
  const found = findRoute(path);
  const { pages } = parts.services;
  const isPage = found?.kind === 'page' && pages !== undefined && path !== '/';
  const route = found?.kind === 'page' && !pages ? undefined : found;
  const search = mark < 0 ? '' : url.slice(mark + 1);
  const span = parts.tracing?.start(request.method ?? '', route?.kind ?? 'none', request.headers);
  const asking = accessRequestOf(request, parts.proxies);
  const open = (identity: Identity): Exchange =>
    new Exchange(request, response, {
      route: route ?? noRoute,
      path,
      search,
      identity,
      asking,
      require: (resource, action) => requireAccess(parts.access, asking, identity, resource, action),
      allows: (resource, action) => mayBe(parts.access, identity, resource, action),
      sees: (repository) => parts.access.sees(identity, repository),
      prefixes: () => parts.access.prefixes?.(identity) ?? [''],
      commonHeaders: parts.commonHeaders,
      awaitsContinue,
    });
  let exchange: Exchange | undefined;
  let failure: RegistryError | undefined;
  let gone = false;
  try {
    const identity = await (isPage
      ? pages.identify(parts.access, parts.services.auth.sessions, asking)
      : parts.access.identify(asking));
    exchange = open(identity);
    const client = identity.kind === 'anonymous' ? `${asking.remote}` : subjectOf(identity);
    parts.rateLimit.take(client, request.method ?? '', route?.name ?? '');
    const asked = exchange;
    await (span ? span.run(() => answer(parts, asked, route)) : answer(parts, asked, route));
  } catch (error) {
    failure = RegistryError.from(error);
    gone = isHangUp(error);
    exchange ??= open(anonymous);
    if (!isPage || response.headersSent || !showFailure(exchange, parts.services, failure)) {
      sendFailure(exchange, failure);
    }
  }
  const milliseconds = performance.now() - startedAt;
  span?.end(statusOf(response), {
    'registry.repository': route?.name ?? '',
    'client.address': asking.remote ?? '',
    ...(failure ? { 'error.type': failure.code } : {}),
  });
  parts.metrics?.observe({
    method: request.method ?? '',
    route: route?.kind ?? 'none',
    status: statusOf(response),
    milliseconds,
    receivedBytes: Number(request.headers['content-length'] ?? 0),
    sentBytes: exchange.sentBytes,
  });
  logRequest(parts, exchange, { url, remote: asking.remote, failure, gone, milliseconds });
}

/** 499 as nginx says it: nobody was there to be answered. */
function statusOf(response: ServerResponse): number {
  return response.headersSent ? response.statusCode : 499;
}

async function answer(parts: DispatchParts, exchange: Exchange, route: Route | undefined): Promise<void> {
  if (!route) {
    throw new RegistryError('NAME_UNKNOWN', { message: 'no such endpoint' });
  }
  const operation = findOperation(route, exchange.request.method ?? '');
  if (operation.action !== undefined) {
    const resource = resourceOf(route);
    if (resource.type === 'repository') checkRepositoryName(resource.name);
    await exchange.require(resource, operation.action);
  }
  if (operation.writes && !parts.crossOriginWrites && exchange.header('origin') !== undefined) {
    throw new RegistryError('DENIED', {
      message: 'writes from web pages are off (http.headers, Access-Control-Allow-Origin)',
    });
  }
  if (operation.writes && parts.readOnly) {
    throw new RegistryError('UNSUPPORTED', { message: 'the registry is read-only' });
  }
  if (operation.action === 'push') {
    const origin = parts.services.proxy.origin(route.name);
    if (origin !== undefined) {
      throw new RegistryError('DENIED', { message: `this repository comes from ${origin}: push there` });
    }
  }
  await operation.handler(exchange, parts.services);
}

function findOperation(route: Route, method: string): Operation {
  const operations = routes[route.kind];
  const operation = Object.hasOwn(operations, method)
    ? operations[method as keyof typeof operations]
    : undefined;
  if (operation) return operation;
  throw new RegistryError('UNSUPPORTED', { headers: { Allow: Object.keys(operations).join(', ') } });
}

function resourceOf(route: Route): Resource {
  if (route.kind === 'base') return baseResource;
  if (route.kind === 'catalog') return catalogResource;
  return { type: 'repository', name: route.name };
}

/**
 * The one question to access control; a refusal explains itself in `detail`, to who is known with the rule.
 * @throws RegistryError `UNAUTHORIZED` with a challenge, or `DENIED`
 */
async function requireAccess(
  access: AccessControl,
  request: AccessRequest,
  identity: Identity,
  resource: Resource,
  action: Action,
): Promise<void> {
  const decision = await access.decide(identity, resource, action);
  if (decision.allowed) return;
  const { retry, error, reason } = decision;
  const scope = scopeFor(resource, action);
  const known = identity.kind !== 'anonymous';
  const detail = {
    type: resource.type,
    name: resource.name,
    action,
    subject: subjectOf(identity),
    ...(scope === undefined ? {} : { asked: formatScope(scope) }),
    ...(reason.held === undefined ? {} : { held: reason.held }),
    reason: reason.text,
    ...(known && reason.rule !== undefined ? { rule: reason.rule } : {}),
  };
  if (!retry) throw new RegistryError('DENIED', { detail });
  const challenge = access.challenge(request, scope === undefined ? [] : [scope], error);
  throw new RegistryError('UNAUTHORIZED', {
    detail,
    headers: challenge === undefined ? {} : { 'WWW-Authenticate': challenge },
  });
}

/** The answer of access control, where it has one that is not logged. */
async function mayBe(
  access: AccessControl,
  identity: Identity,
  resource: Resource,
  action: Action,
): Promise<boolean> {
  if (access.wouldAllow) return access.wouldAllow(identity, resource, action);
  return (await access.decide(identity, resource, action)).allowed;
}

function sendFailure(exchange: Exchange, failure: RegistryError): void {
  const { response } = exchange;
  if (response.headersSent || response.destroyed) {
    // The head is out: cutting the connection is the only way to say that the body is not whole.
    response.destroy();
    return;
  }
  const headers = Object.entries(failure.headers).flat();
  exchange.send(
    failure.status,
    ['Content-Type', 'application/json; charset=utf-8', ...headers],
    errorBody(failure),
  );
}

const hangUpCodes: ReadonlySet<unknown> = new Set(['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE']);

/** Whether an error says only that the client's connection ended. */
function isHangUp(error: unknown): boolean {
  return error instanceof Error && 'code' in error && hangUpCodes.has(error.code);
}

function logRequest(
  { logger, accessLog }: DispatchParts,
  exchange: Exchange,
  facts: {
    readonly url: string;
    readonly remote: string | undefined;
    readonly failure: RegistryError | undefined;
    /** The client hung up. */
    readonly gone: boolean;
    readonly milliseconds: number;
  },
): void {
  const { request, response } = exchange;
  const { failure, gone } = facts;
  const status = statusOf(response);
  // A failure with a cause is one of ours or of the system, also where the client is told 404.
  if (failure && !gone && (failure.status >= 500 || failure.cause !== undefined)) {
    logger.error({ err: failure.cause ?? failure, method: request.method, url: facts.url }, 'request failed');
  }
  if (!accessLog) return;
  logger.info(
    {
      method: request.method,
      url: facts.url,
      status,
      bytes: exchange.sentBytes,
      ms: Math.round(facts.milliseconds * 100) / 100,
      remote: facts.remote,
      agent: request.headers['user-agent'],
      ...(exchange.identity.kind === 'anonymous' ? {} : { subject: subjectOf(exchange.identity) }),
      ...(failure ? { code: failure.code } : {}),
    },
    'request',
  );
}
