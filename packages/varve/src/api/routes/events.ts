import { checkFilters, type EngineEvent, type Filters, labelsMatch, parseTime } from '../../engine/index.ts';
import type { Exchange } from '../exchange.ts';
import type { Route } from '../route.ts';
import { type ApiVersion, since } from '../versions.ts';
import { eventView } from '../views/event-view.ts';

const allowed = [
  'config',
  'container',
  'daemon',
  'event',
  'image',
  'label',
  'network',
  'node',
  'plugin',
  'scope',
  'secret',
  'service',
  'type',
  'volume',
];

/** An event's name without what follows it: `exec_start: sh` is found by `exec_start`. */
function actionName(action: string): string {
  const colon = action.indexOf(':');
  return colon < 0 ? action : action.slice(0, colon);
}

/** Whether an event passes the filters of `GET /events`: keys together, values of one key as alternatives. */
function eventMatches(event: EngineEvent, filters: Filters, version: ApiVersion): boolean {
  if (event.type === 'image' && event.action === 'create' && version < since.imageCreateEvents) return false;
  const { attributes } = event;
  const any = (key: string, test: (value: string) => boolean): boolean => {
    const values = filters[key];
    return values === undefined || values.length === 0 || values.some(test);
  };
  const isObject = (type: string): boolean =>
    any(type, (value) => event.type === type && (event.id.startsWith(value) || attributes['name'] === value));
  return (
    any('type', (value) => value === event.type) &&
    any('event', (value) => value === event.action || value === actionName(event.action)) &&
    any('scope', (value) => value === 'local') &&
    ['container', 'volume', 'network', 'daemon'].every(isObject) &&
    any('image', (value) => {
      const name = event.type === 'image' ? (attributes['name'] ?? event.id) : (attributes['image'] ?? '');
      return event.id === value || name === value || name.replace(/:[^/]*$/, '') === value;
    }) &&
    ['config', 'node', 'plugin', 'secret', 'service'].every((type) => any(type, () => false)) &&
    labelsMatch(filters, attributes)
  );
}

function nanoseconds(text: string): bigint | undefined {
  if (text === '') return undefined;
  const exact = /^(\d+)(?:\.(\d{1,9}))?$/.exec(text);
  if (exact) return BigInt(exact[1] as string) * 1_000_000_000n + BigInt((exact[2] ?? '').padEnd(9, '0'));
  return BigInt(Math.round(parseTime(text))) * 1_000_000n;
}

async function events(exchange: Exchange): Promise<void> {
  const { engine, query, version, signal } = exchange;
  const filters = query.filters();
  checkFilters(filters, allowed);
  const from = nanoseconds(query.text('since'));
  const until = nanoseconds(query.text('until'));
  const stream = engine.events.subscribe({
    ...(from === undefined ? {} : { since: from }),
    ...(until === undefined ? {} : { until }),
    matches: (event) => eventMatches(event, filters, version),
    signal,
  });
  exchange.begin('application/json');
  for await (const event of stream) {
    if (!(await exchange.write(eventView(event)))) break;
  }
  exchange.response.end();
}

export const eventRoutes: readonly Route[] = [{ method: 'GET', path: '/events', handle: events }];
