import { VarveError } from '../base/index.ts';
import type { ContainerConfig, Healthcheck } from '../oci/index.ts';
import type { ContainerSettings } from './types.ts';

/** Default PATH of a container (moby oci/defaults). */
export const defaultPath = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

function keyOf(variable: string): string {
  const equals = variable.indexOf('=');
  return equals < 0 ? variable : variable.slice(0, equals);
}

/** Environment lists merged by key: the first list's order, values of the second win. */
export function mergeEnvironment(base: readonly string[], over: readonly string[]): string[] {
  const wanted = new Map(over.map((variable) => [keyOf(variable), variable]));
  const kept = over.filter((variable) => wanted.get(keyOf(variable)) === variable);
  return [...kept, ...base.filter((variable) => !wanted.has(keyOf(variable)))];
}

function mergeHealthcheck(
  image: Healthcheck | undefined,
  own: Healthcheck | undefined,
): Healthcheck | undefined {
  if (!image || !own) return own ?? image;
  return {
    ...image,
    ...Object.fromEntries(
      Object.entries(own).filter(([, value]) => value !== 0 && !(Array.isArray(value) && value.length === 0)),
    ),
  };
}

function isEmpty(list: readonly string[] | null | undefined): boolean {
  return !list || list.length === 0;
}

/**
 * The configuration of a container: what the image says, with the request on top (moby daemon/commit.go merge).
 * @param id the container's id: its short form is the host name nobody chose.
 * @throws VarveError `invalid` when there is nothing to run.
 */
export function mergeSettings(
  image: ContainerConfig,
  request: Partial<ContainerSettings>,
  id: string,
): ContainerSettings {
  const ownEntrypoint = !isEmpty(request.Entrypoint);
  // An entrypoint of one empty string clears the image's; an own entrypoint drops the image's command.
  const entrypoint = ownEntrypoint ? request.Entrypoint : image.Entrypoint;
  const command = !isEmpty(request.Cmd) ? request.Cmd : ownEntrypoint ? null : (image.Cmd ?? null);
  const cleared = entrypoint?.length === 1 && entrypoint[0] === '';
  const healthcheck = mergeHealthcheck(image.Healthcheck, request.Healthcheck);
  const stopSignal = request.StopSignal || image.StopSignal;
  const shell = request.Shell ?? image.Shell;
  const volumes = { ...image.Volumes, ...request.Volumes };
  const ports = { ...image.ExposedPorts, ...request.ExposedPorts };
  const settings: ContainerSettings = {
    Hostname: request.Hostname || id.slice(0, 12),
    Domainname: request.Domainname ?? '',
    User: request.User || (image.User ?? ''),
    AttachStdin: request.AttachStdin ?? false,
    AttachStdout: request.AttachStdout ?? false,
    AttachStderr: request.AttachStderr ?? false,
    ...(Object.keys(ports).length > 0 ? { ExposedPorts: ports } : {}),
    Tty: request.Tty ?? false,
    OpenStdin: request.OpenStdin ?? false,
    StdinOnce: request.StdinOnce ?? false,
    Env: mergeEnvironment(image.Env ?? [], request.Env ?? []),
    Cmd: command ?? null,
    Image: request.Image ?? '',
    ...(Object.keys(volumes).length > 0 ? { Volumes: volumes } : {}),
    WorkingDir: request.WorkingDir || (image.WorkingDir ?? ''),
    Entrypoint: cleared || !entrypoint ? null : entrypoint,
    ...(request.NetworkDisabled ? { NetworkDisabled: true } : {}),
    ...(request.MacAddress ? { MacAddress: request.MacAddress } : {}),
    ...(request.OnBuild ? { OnBuild: request.OnBuild } : {}),
    Labels: { ...image.Labels, ...request.Labels },
    ...(stopSignal ? { StopSignal: stopSignal } : {}),
    ...(request.StopTimeout !== undefined && request.StopTimeout !== null
      ? { StopTimeout: request.StopTimeout }
      : image.StopTimeout !== undefined
        ? { StopTimeout: image.StopTimeout }
        : {}),
    ...(healthcheck ? { Healthcheck: healthcheck } : {}),
    ...(shell ? { Shell: shell } : {}),
  };
  if (isEmpty(settings.Entrypoint) && isEmpty(settings.Cmd)) {
    throw new VarveError('invalid', 'NO_COMMAND', 'no command specified');
  }
  checkSettings(settings);
  return settings;
}

function checkSettings(settings: ContainerSettings): void {
  const bad = (message: string): VarveError => new VarveError('invalid', 'INVALID_CONFIG', message);
  if (settings.WorkingDir && !settings.WorkingDir.startsWith('/')) {
    throw bad(`the working directory '${settings.WorkingDir}' is invalid, it needs to be an absolute path`);
  }
  for (const variable of settings.Env ?? []) {
    if (variable === '' || variable.startsWith('=')) throw bad(`invalid environment variable: ${variable}`);
    if (variable.includes('\0')) throw bad('invalid environment variable: contains NUL');
  }
  for (const argument of commandLine(settings)) {
    if (argument.includes('\0')) throw bad('invalid argument: contains NUL');
  }
  for (const [what, text] of [
    ['hostname', settings.Hostname],
    ['domain name', settings.Domainname],
    ['user', settings.User],
    ['working directory', settings.WorkingDir],
  ] as const) {
    // Names become lines of /etc/hosts and the like.
    if (/[\0\n\r]/.test(text ?? '')) throw bad(`invalid ${what}: contains control characters`);
  }
  const mac = settings.MacAddress;
  if (mac !== undefined) checkMacAddress(mac);
  const check = settings.Healthcheck;
  for (const [name, least] of [
    ['Interval', 1e6],
    ['Timeout', 1e6],
    ['StartPeriod', 1e6],
    ['StartInterval', 1e6],
  ] as const) {
    const value = check?.[name];
    if (value !== undefined && value !== 0 && value < least) {
      throw bad(`${name} in Healthcheck cannot be less than 1ms`);
    }
  }
  if ((check?.Retries ?? 0) < 0) throw bad('Retries in Healthcheck cannot be negative');
}

/** @throws VarveError `invalid`. */
export function checkMacAddress(address: string): void {
  if (/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(address)) return;
  throw new VarveError('invalid', 'INVALID_MAC', `invalid MAC address: ${address}`, { subject: address });
}

/** The program with its arguments: entrypoint, then command. */
export function commandLine(settings: ContainerSettings): string[] {
  return [...(settings.Entrypoint ?? []), ...(settings.Cmd ?? [])];
}
