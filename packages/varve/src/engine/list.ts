import { VarveError } from '../base/index.ts';
import { canonicalReference, parseReference, withDefaultTag } from '../oci/index.ts';
import type { Container } from './container.ts';
import type { EngineCore } from './core.ts';
import { anyMatch, booleanFilter, checkFilters, invalidFilter, labelsMatch, nameMatches } from './filters.ts';
import { parsePort } from './ports.ts';
import type { Filters } from './types.ts';

const allowed = [
  'ancestor',
  'before',
  'exited',
  'expose',
  'health',
  'id',
  'is-task',
  'isolation',
  'label',
  'label!',
  'name',
  'network',
  'publish',
  'since',
  'status',
  'volume',
];
const statuses = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead'];
const healths = ['starting', 'healthy', 'unhealthy', 'none'];

export interface ListOptions {
  /** Stopped ones too. */
  readonly all?: boolean;
  /** The last n created, stopped ones too. */
  readonly limit?: number;
  readonly filters?: Filters;
}

/** Ports of a filter: `80`, `80/udp`, `8000-8010/tcp`. */
function portTest(value: string, key: string): (port: string) => boolean {
  const match = /^(\d+)(?:-(\d+))?(?:\/(tcp|udp|sctp))?$/.exec(value);
  if (!match) throw invalidFilter(key, value);
  const [first, last] = [Number(match[1]), Number(match[2] ?? match[1])];
  return (text) => {
    const { port, protocol } = parsePort(text);
    return protocol === (match[3] ?? 'tcp') && port >= first && port <= last;
  };
}

/** Ids an ancestor filter stands for: the image, and all made from it. */
function ancestors(core: EngineCore, names: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>();
  for (const name of names) {
    try {
      found.add(core.images.resolve(name).id);
    } catch (error) {
      if (!VarveError.is(error) || error.kind !== 'not-found') throw error;
    }
  }
  let size = -1;
  const images = core.images.list();
  while (size !== found.size) {
    size = found.size;
    for (const image of images) if (image.parent && found.has(image.parent)) found.add(image.id);
  }
  return found;
}

function sameReference(a: string, b: string): boolean {
  try {
    const canonical = (text: string): string => canonicalReference(withDefaultTag(parseReference(text)));
    return canonical(a) === canonical(b);
  } catch {
    return false;
  }
}

function exitCodes(values: readonly string[]): readonly number[] {
  return values.map((value) => {
    if (!/^-?\d+$/.test(value)) throw invalidFilter('exited', value);
    return Number(value);
  });
}

/** Containers that a list shows, newest first. @throws VarveError `invalid` for a bad filter, `not-found` for `before`/`since`. */
export function listContainers(core: EngineCore, options: ListOptions = {}): readonly Container[] {
  const filters = options.filters ?? {};
  checkFilters(filters, allowed);
  for (const status of filters['status'] ?? []) {
    if (!statuses.includes(status)) throw invalidFilter('status', status);
  }
  for (const health of filters['health'] ?? []) {
    if (!healths.includes(health)) throw invalidFilter('health', health);
  }
  const tasks = booleanFilter(filters, 'is-task');
  const codes = exitCodes(filters['exited'] ?? []);
  const images = filters['ancestor']?.length ? ancestors(core, filters['ancestor']) : undefined;
  const before = (filters['before'] ?? []).map((name) => core.containers.resolve(name).record.createdAt);
  const since = (filters['since'] ?? []).map((name) => core.containers.resolve(name).record.createdAt);
  const exposed = (filters['expose'] ?? []).map((value) => portTest(value, 'expose'));
  const published = (filters['publish'] ?? []).map((value) => portTest(value, 'publish'));
  const limited = (options.limit ?? 0) > 0;
  const everything =
    options.all ||
    limited ||
    (filters['status']?.length ?? 0) > 0 ||
    codes.length > 0 ||
    before.length > 0 ||
    since.length > 0;

  const matches = (container: Container): boolean => {
    const { record, state } = container;
    if (!everything && !container.running && state.status !== 'restarting') return false;
    if (tasks === true) return false;
    if (before.some((time) => record.createdAt >= time)) return false;
    if (since.some((time) => record.createdAt <= time)) return false;
    if (
      codes.length > 0 &&
      (state.startedAt.startsWith('0001') || container.running || !codes.includes(state.exitCode))
    )
      return false;
    if (
      images &&
      !images.has(record.imageId) &&
      !filters['ancestor']?.some((name) => sameReference(name, record.config.Image))
    )
      return false;
    const exposes = Object.keys({ ...record.config.ExposedPorts, ...record.hostConfig.PortBindings });
    if (exposed.length > 0 && !exposed.some((test) => exposes.some(test))) return false;
    const publishes = Object.entries(record.ports).filter(([, hosts]) => hosts !== null);
    if (published.length > 0 && !published.some((test) => publishes.some(([port]) => test(port))))
      return false;
    return (
      anyMatch(filters, 'id', (id) => record.id.startsWith(id)) &&
      anyMatch(
        filters,
        'name',
        (name) => nameMatches(name, `/${record.name}`) || nameMatches(name, record.name),
      ) &&
      anyMatch(filters, 'status', (status) => status === state.status) &&
      anyMatch(filters, 'health', (health) => health === (state.health?.Status ?? 'none')) &&
      anyMatch(filters, 'network', (name) =>
        Object.entries(record.networks).some(
          ([network, { NetworkID }]) => network === name || NetworkID.startsWith(name),
        ),
      ) &&
      anyMatch(filters, 'volume', (volume) =>
        record.mounts.some(
          (mount) => mount.Name === volume || mount.Destination === volume || mount.Source === volume,
        ),
      ) &&
      labelsMatch(filters, record.config.Labels)
    );
  };
  const found = core.containers.list().filter(matches);
  return limited ? found.slice(0, options.limit) : found;
}
