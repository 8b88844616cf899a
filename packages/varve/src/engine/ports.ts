import { VarveError } from '../base/index.ts';
import type { PortBinding } from '../network/index.ts';
import type { ContainerSettings, HostConfig, HostPort } from './types.ts';

/** A container port, `80/tcp`. */
export interface ContainerPort {
  readonly port: number;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
}

/** Reads `80`, `80/tcp`. @throws VarveError `invalid` in Docker's words. */
export function parsePort(text: string): ContainerPort {
  const match = /^(\d{1,5})(?:\/(tcp|udp|sctp))?$/i.exec(text);
  const port = Number(match?.[1]);
  if (!match || port < 1 || port > 65_535) {
    throw new VarveError('invalid', 'INVALID_PORT', `invalid port specification: "${text}"`, {
      subject: text,
    });
  }
  return { port, protocol: (match[2]?.toLowerCase() ?? 'tcp') as ContainerPort['protocol'] };
}

/** `80/tcp` */
function formatPort(port: ContainerPort): string {
  return `${port.port}/${port.protocol}`;
}

/** A published port before the host side is bound: `hostPorts` are tried in order, 0 asks for any free one. */
export interface WantedPort extends ContainerPort {
  readonly hostAddress: string;
  readonly hostPorts: readonly number[];
}

function hostRange(text: string | undefined): number[] {
  if (!text) return [0];
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (!match || last > 65_535 || first > last) {
    throw new VarveError('invalid', 'INVALID_PORT', `invalid port binding: invalid host port: ${text}`, {
      subject: text,
    });
  }
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** Without an address a port is published for both families, under one number. */
function wantedOf(port: ContainerPort, binding: HostPort): WantedPort[] {
  const address = binding.HostIp ?? '';
  if (address !== '' && !/^[0-9a-fA-F.:]+$/.test(address)) {
    throw new VarveError('invalid', 'INVALID_ADDRESS', `invalid IP address: ${address}`, {
      subject: address,
    });
  }
  const hostPorts = hostRange(binding.HostPort);
  const addresses = address === '' ? ['0.0.0.0', '::'] : [address];
  return addresses.map((hostAddress) => ({ ...port, hostAddress, hostPorts }));
}

/**
 * The ports a container publishes: `-p`, and with `-P` every exposed one.
 * @throws VarveError `invalid`.
 */
export function wantedPorts(config: ContainerSettings, host: HostConfig): WantedPort[] {
  const explicit = Object.entries(host.PortBindings).flatMap(([text, bindings]) => {
    const port = parsePort(text);
    return (bindings?.length ? bindings : [{}]).flatMap((binding) => wantedOf(port, binding));
  });
  if (!host.PublishAllPorts) return explicit;
  const have = new Set(explicit.map(formatPort));
  const implied = Object.keys(config.ExposedPorts ?? {})
    .map(parsePort)
    .filter((port) => !have.has(formatPort(port)));
  return [...explicit, ...implied.flatMap((port) => wantedOf(port, {}))];
}

/** What inspect shows: bound ports with their host sides, exposed ones as null. */
export function portMap(
  config: ContainerSettings,
  bound: readonly PortBinding[],
): Record<string, Required<HostPort>[] | null> {
  const result: Record<string, Required<HostPort>[] | null> = {};
  for (const text of Object.keys(config.ExposedPorts ?? {})) result[formatPort(parsePort(text))] = null;
  for (const binding of bound) {
    const key = `${binding.containerPort}/${binding.protocol}`;
    const entry = { HostIp: binding.hostAddress, HostPort: String(binding.hostPort) };
    result[key] = [...(result[key] ?? []), entry];
  }
  return result;
}
