import { VarveError } from '../../base/index.ts';
import {
  createRobot,
  hasExpired,
  type NewRobot,
  type Resource,
  robotPrefix,
  scopeFor,
  formatScope,
  subjectOf,
} from '../auth/index.ts';
import { RegistryError } from '../errors.ts';
import type { RobotRecord } from '../metadata/index.ts';
import { checkRepositoryName } from '../names.ts';
import type { Exchange } from './exchange.ts';
import type { Handler, Services } from './services.ts';

const adminResource: Resource = { type: 'registry', name: 'admin' };
const maxBodyBytes = 256 * 1024;
const actions = ['pull', 'push', 'delete'] as const;

/** GET /varve/robots: the accounts, without their secrets. For administrators, as the next two. */
export const listRobots: Handler = async (exchange, services) => {
  await requireAdmin(exchange, services);
  const robots = await services.metadata.robots.list();
  sendJson(exchange, 200, { robots: robots.map(describe) });
};

/** POST /varve/robots: makes one of `{name, grants, description?, expiresAt?}`; the answer has the secret, once. */
export const createRobotAccount: Handler = async (exchange, services) => {
  await requireAdmin(exchange, services);
  const tooLarge = (): RegistryError => new RegistryError('SIZE_INVALID', { status: 413 });
  const robot = readRobot(await exchange.readBody(maxBodyBytes, tooLarge));
  try {
    const { record, secret } = await createRobot(services.metadata.robots, robot);
    sendJson(exchange, 201, { ...describe(record), username: robotPrefix + record.name, secret });
  } catch (error) {
    if (!VarveError.is(error) || error instanceof RegistryError) throw error;
    if (error.kind !== 'invalid' && error.kind !== 'conflict') throw error;
    throw badRequest(error.message, error.kind === 'conflict' ? 409 : 400);
  }
};

/** DELETE /varve/robots/NAME: from the next request on it is refused. */
export const removeRobot: Handler = async (exchange, services) => {
  await requireAdmin(exchange, services);
  const name = exchange.route.reference;
  if (!(await services.metadata.robots.remove(name))) {
    throw new RegistryError('NAME_UNKNOWN', {
      message: 'no such robot',
      detail: { name: name.slice(0, 100) },
    });
  }
  exchange.send(204, []);
};

/** GET /varve/access?repository=R: who we are, and what we may do there, each with its reason. */
export const explainOwnAccess: Handler = async (exchange, services) => {
  requireConfigured(services);
  const { identity, query } = exchange;
  if (identity.refusal) await exchange.require({ type: 'registry', name: 'base' }, 'pull');
  const name = checkRepositoryName(query.get('repository') ?? '');
  const resource: Resource = { type: 'repository', name };
  const known = identity.kind !== 'anonymous';
  const answers = await Promise.all(
    actions.map(async (action) => {
      const { allowed, reason } = await services.auth.access.decide(identity, resource, action);
      const scope = scopeFor(resource, action);
      return {
        action,
        asked: scope && formatScope(scope),
        allowed,
        reason: reason?.text,
        held: reason?.held,
        ...(known ? { rule: reason?.rule } : {}),
      };
    }),
  );
  sendJson(exchange, 200, {
    subject: subjectOf(identity),
    via: identity.via,
    repository: name,
    access: answers,
  });
};

async function requireAdmin(exchange: Exchange, services: Services): Promise<void> {
  requireConfigured(services);
  await exchange.require(adminResource, 'admin');
}

/** In an open registry there is nobody to make accounts for. */
function requireConfigured({ auth }: Services): void {
  if (!auth.configured) throw new RegistryError('NAME_UNKNOWN', { message: 'no such endpoint' });
}

function describe(robot: RobotRecord): object {
  return {
    name: robot.name,
    grants: robot.grants,
    description: robot.description,
    createdAt: new Date(robot.createdAt).toISOString(),
    expiresAt: robot.expiresAt === undefined ? undefined : new Date(robot.expiresAt).toISOString(),
    expired: hasExpired(robot),
  };
}

function readRobot(bytes: Buffer): NewRobot {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    throw badRequest('the body is not JSON');
  }
  const { name, grants, description, expiresAt } = (value ?? {}) as { readonly [key: string]: unknown };
  if (typeof name !== 'string' || !Array.isArray(grants)) throw badRequest('needs name and grants');
  const isList = (list: unknown): list is string[] =>
    Array.isArray(list) && list.every((item) => typeof item === 'string');
  const read = (grants as unknown[]).map((grant) => {
    const { repositories, actions: given } = (grant ?? {}) as { readonly [key: string]: unknown };
    if (!isList(repositories) || !isList(given)) throw badRequest('a grant has repositories and actions');
    return { repositories, actions: given };
  });
  const end = typeof expiresAt === 'string' ? Date.parse(expiresAt) : undefined;
  if (Number.isNaN(end) || (expiresAt !== undefined && end === undefined)) {
    throw badRequest('expiresAt is not a time');
  }
  return {
    name,
    grants: read,
    description: typeof description === 'string' ? description : undefined,
    expiresAt: end,
  };
}

function badRequest(message: string, status = 400): RegistryError {
  return new RegistryError('UNKNOWN', { status, message });
}

function sendJson(exchange: Exchange, status: number, value: object): void {
  exchange.send(
    status,
    ['Content-Type', 'application/json; charset=utf-8', 'Cache-Control', 'no-store'],
    `${JSON.stringify(value)}\n`,
  );
}
