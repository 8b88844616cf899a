import { formatDuration } from '../../base/index.ts';
import { type Container, commandLine, type Engine } from '../../engine/index.ts';
import type { ApiVersion } from '../versions.ts';
import { endpointView, mountView, shownMounts } from './container-inspect.ts';

/** `Up 2 minutes (healthy)`, `Exited (0) 3 seconds ago`, … (moby container/state.go). */
export function statusText(container: Pick<Container, 'state'>, nowMs = Date.now()): string {
  const { status, startedAt, finishedAt, exitCode, health } = container.state;
  const since = (time: string): string => formatDuration(nowMs - Date.parse(time));
  const healthy =
    health === undefined ? '' : health.Status === 'starting' ? ' (health: starting)' : ` (${health.Status})`;
  switch (status) {
    case 'running':
      return `Up ${since(startedAt)}${healthy}`;
    case 'paused':
      return `Up ${since(startedAt)} (Paused)`;
    case 'restarting':
      return `Restarting (${exitCode}) ${since(finishedAt)} ago`;
    case 'created':
      return 'Created';
    case 'removing':
      return 'Removal In Progress';
    case 'dead':
      return 'Dead';
    case 'exited':
      return `Exited (${exitCode}) ${since(finishedAt)} ago`;
  }
}

interface PortView {
  readonly IP?: string;
  readonly PrivatePort: number;
  readonly PublicPort?: number;
  readonly Type: string;
}

/** Published ports with their host sides, and exposed ones alone. */
export function portViews(ports: Container['record']['ports']): PortView[] {
  return Object.entries(ports).flatMap(([key, hosts]): PortView[] => {
    const [port, protocol = 'tcp'] = key.split('/') as [string, string?];
    const inside = { PrivatePort: Number(port), Type: protocol };
    if (!hosts || hosts.length === 0) return [inside];
    return hosts.map((host) => ({ IP: host.HostIp, ...inside, PublicPort: Number(host.HostPort) }));
  });
}

/** Words that a shell would split are quoted, as in Docker's lists. */
function shownCommand(container: Container): string {
  const [path = '', ...args] = commandLine(container.record.config);
  return [path, ...args.map((argument) => (argument.includes(' ') ? `'${argument}'` : argument))].join(' ');
}

/** One entry of `GET /containers/json`. */
export function containerSummary(
  engine: Engine,
  container: Container,
  version: ApiVersion,
  size?: { readonly writableBytes: number; readonly rootBytes: number },
): Record<string, unknown> {
  const { record, state } = container;
  return {
    Id: record.id,
    Names: [`/${record.name}`],
    Image: shownImage(engine, container),
    ImageID: record.imageId,
    Command: shownCommand(container),
    Created: Math.floor(Date.parse(record.createdAt) / 1000),
    Ports: container.running ? portViews(record.ports) : [],
    ...(size ? { SizeRw: size.writableBytes, SizeRootFs: size.rootBytes } : {}),
    Labels: record.config.Labels ?? {},
    State: state.status,
    Status: statusText(container),
    HostConfig: { NetworkMode: record.hostConfig.NetworkMode },
    NetworkSettings: {
      Networks: Object.fromEntries(
        Object.entries(record.networks).map(([name, settings]) => [
          name,
          endpointView(settings, record.id, version),
        ]),
      ),
    },
    Mounts: shownMounts(record.mounts).map(mountView),
  };
}

/** The reference as given while it still names the image; its id after the tag has moved on. */
function shownImage(engine: Engine, { record }: Container): string {
  try {
    return engine.core.images.resolve(record.config.Image).id === record.imageId
      ? record.config.Image
      : record.imageId;
  } catch {
    return record.imageId;
  }
}
