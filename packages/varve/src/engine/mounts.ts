import { mkdirSync, statSync } from 'node:fs';
import { randomId, VarveError } from '../base/index.ts';
import type { RuntimeMount } from '../runtime/index.ts';
import type { Container } from './container.ts';
import type { EngineCore } from './core.ts';
import type { WantedMount } from './mount-requests.ts';
import { subpathSource } from './subpaths.ts';
import type { ContainerRecord, MountPoint } from './types.ts';

/** The mounts of other containers that `--volumes-from` asks for. @throws VarveError `invalid`. */
export function inheritedMounts(core: EngineCore, from: readonly string[]): WantedMount[] {
  return from.flatMap((spec) => {
    const [name, mode = ''] = spec.split(':') as [string, string?];
    if (!['', 'ro', 'rw', 'z', 'Z'].includes(mode)) {
      throw new VarveError('invalid', 'INVALID_VOLUMES_FROM', `invalid mode: ${mode}`, { subject: spec });
    }
    return donor(core, name).record.mounts.map(
      (mount): WantedMount => ({
        type: mount.Type,
        ...(mount.Type === 'tmpfs' ? {} : { source: mount.Name ?? mount.Source }),
        destination: mount.Destination,
        readOnly: mode === 'ro' || !mount.RW,
        mode: mount.Mode,
        propagation: mount.Propagation,
        noCopy: true,
        createHostFolder: false,
        recursive: true,
        options: mount.options ?? [],
        ...(mount.spec ? { spec: mount.spec } : {}),
      }),
    );
  });
}

/** Not `not-found`: clients take that for a missing image. */
function donor(core: EngineCore, name: string): Container {
  try {
    return core.containers.resolve(name);
  } catch (error) {
    throw new VarveError('invalid', 'NO_SUCH_CONTAINER', VarveError.from(error).message, { subject: name });
  }
}

function bindSource(wanted: WantedMount): string {
  const source = wanted.source as string;
  if (statSync(source, { throwIfNoEntry: false })) return source;
  if (!wanted.createHostFolder) {
    throw new VarveError(
      'invalid',
      'BIND_SOURCE_MISSING',
      `invalid mount config for type "bind": bind source path does not exist: ${source}`,
      { subject: source },
    );
  }
  mkdirSync(source, { recursive: true, mode: 0o755 });
  return source;
}

/** Gives volumes without a name one, so that it can be written down before they exist. */
export function nameVolumes(wanted: readonly WantedMount[]): WantedMount[] {
  return wanted.map((mount) =>
    mount.type === 'volume' && mount.source === undefined
      ? { ...mount, source: randomId(), anonymous: true }
      : mount,
  );
}

/** Names of volumes that the mounts will make. */
export function newVolumes(core: EngineCore, wanted: readonly WantedMount[]): string[] {
  const known = new Set(core.volumes.list().map((volume) => volume.name));
  return wanted.flatMap(({ type, source }) =>
    type === 'volume' && source !== undefined && !known.has(source) ? [source] : [],
  );
}

/**
 * Makes what the mounts need (volumes, host folders) and says where each comes from. Volumes made here for a
 * container that then fails are in `made`, for the caller to remove.
 * @throws VarveError `invalid` for a missing bind source, and what the volumes throw.
 */
export async function resolveMounts(
  core: EngineCore,
  wanted: readonly WantedMount[],
  made: string[],
): Promise<MountPoint[]> {
  const result: MountPoint[] = [];
  for (const mount of wanted) {
    const common = {
      Destination: mount.destination,
      Mode: mount.mode,
      RW: !mount.readOnly,
      Propagation: mount.propagation,
      ...(mount.spec ? { spec: mount.spec } : {}),
    };
    if (mount.type === 'tmpfs') {
      result.push({ Type: 'tmpfs', Source: '', ...common, options: mount.options });
    } else if (mount.type === 'bind') {
      const options = [mount.recursive ? 'rbind' : 'bind'];
      result.push({ Type: 'bind', Source: bindSource(mount), ...common, options });
    } else {
      result.push({ ...(await volumeMount(core, mount, made)), ...common });
    }
  }
  return result;
}

async function volumeMount(
  core: EngineCore,
  mount: WantedMount,
  made: string[],
): Promise<Pick<MountPoint, 'Type' | 'Name' | 'Source' | 'Driver' | 'anonymous' | 'copyUp'>> {
  const known = core.volumes.list().find((candidate) => candidate.name === mount.source);
  const volume =
    known ??
    (await core.volumes.create({
      name: mount.source ?? randomId(),
      anonymous: mount.anonymous ?? false,
      ...(mount.driver ? { driver: mount.driver } : {}),
      ...(mount.driverOptions ? { options: mount.driverOptions } : {}),
      ...(mount.labels ? { labels: mount.labels } : {}),
    }));
  if (!known) {
    made.push(volume.name);
    core.events.publish('volume', 'create', volume.name, { driver: volume.driver });
  }
  return {
    Type: 'volume',
    Name: volume.name,
    Source: volume.mountpoint,
    Driver: volume.driver,
    ...(mount.anonymous ? { anonymous: true } : {}),
    ...(mount.noCopy ? {} : { copyUp: true }),
  };
}

/** A resolved mount as the runtime wants it. */
export function runtimeMount(core: EngineCore, record: ContainerRecord, mount: MountPoint): RuntimeMount {
  if (mount.Type === 'tmpfs') {
    return {
      type: 'tmpfs',
      source: 'tmpfs',
      destination: mount.Destination,
      readOnly: !mount.RW,
      options: mount.options?.length ? mount.options : ['nosuid', 'nodev', 'noexec'],
    };
  }
  return {
    type: 'bind',
    source: subpathSource(core, record, mount) ?? mount.Source,
    destination: mount.Destination,
    readOnly: !mount.RW,
    options: [...(mount.options ?? ['rbind']), mount.Propagation || 'rprivate'],
  };
}

/** Attributes of a volume's mount event. */
export function mountAttributes(record: ContainerRecord, mount: MountPoint): Record<string, string> {
  return {
    container: record.id,
    destination: mount.Destination,
    driver: mount.Driver ?? 'local',
    propagation: mount.Propagation,
    'read/write': String(mount.RW),
  };
}
