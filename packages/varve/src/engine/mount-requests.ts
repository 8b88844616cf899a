import { posix } from 'node:path';
import { VarveError } from '../base/index.ts';
import type { ContainerSettings, HostConfig, MountRequest } from './types.ts';

/** A mount the container wants, before volumes exist and host folders are looked at. */
export interface WantedMount {
  readonly type: 'bind' | 'volume' | 'tmpfs';
  /** Host path for a bind, volume name for a volume (absent: anonymous). */
  readonly source?: string;
  /** Nobody named this volume: it was given a name here. */
  readonly anonymous?: boolean;
  readonly destination: string;
  readonly readOnly: boolean;
  readonly mode: string;
  readonly propagation: string;
  readonly noCopy: boolean;
  /** Make a missing host folder (`-v`, not `--mount`). */
  readonly createHostFolder: boolean;
  readonly recursive: boolean;
  readonly driver?: string;
  readonly driverOptions?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** For tmpfs. */
  readonly options: readonly string[];
  readonly spec?: MountRequest;
}

const propagations = ['private', 'rprivate', 'slave', 'rslave', 'shared', 'rshared'];
/** Options of tmpfs(5) and flags of any mount (moby mount.MergeTmpfsOptions). None may make it another kind of mount. */
const tmpfsFlag =
  /^(r[ow]|(no)?(exec|suid|dev|atime|diratime|relatime|strictatime|mand)|(dir|a)?sync|defaults)$/;
const tmpfsValue =
  /^(size|nr_blocks|nr_inodes)=\d+[kmgKMG%]?$|^mode=[0-7]{1,4}$|^[ug]id=\d+$|^mpol=[\w:=,-]+$/;
const volumeName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,}$/;

function bad(spec: string, why: string): VarveError {
  return new VarveError(
    'invalid',
    'INVALID_MOUNT',
    `invalid volume specification: '${spec}'${why && `: ${why}`}`,
    {
      subject: spec,
    },
  );
}

function checkDestination(destination: string, spec: string): string {
  if (spec.includes('\0')) throw bad(spec, 'contains NUL');
  const clean = posix.normalize(destination).replace(/(?<=.)\/$/, '');
  if (!clean.startsWith('/'))
    throw bad(spec, `invalid mount path: '${destination}' mount path must be absolute`);
  if (clean === '/') throw bad(spec, "invalid specification: destination can't be '/'");
  return clean;
}

/**
 * Reads one `-v` value: `/container`, `source:/container[:options]`.
 * @throws VarveError `invalid` in Docker's words.
 */
export function parseBind(spec: string, volumeDriver = ''): WantedMount {
  const parts = spec.split(':');
  if (parts.length > 3 || parts.some((part, index) => part === '' && index < 2)) throw bad(spec, '');
  const [first, second, mode = ''] = parts as [string, string?, string?];
  const destination = checkDestination(second ?? first, spec);
  const source = second === undefined ? undefined : first;
  const words = mode === '' ? [] : mode.split(',');
  const known = [
    'ro',
    'rw',
    'z',
    'Z',
    'nocopy',
    'copy',
    'cached',
    'delegated',
    'consistent',
    ...propagations,
  ];
  for (const word of words) if (!known.includes(word)) throw bad(spec, `invalid mode: ${mode}`);
  if (words.includes('ro') && words.includes('rw')) throw bad(spec, `invalid mode: ${mode}`);
  const isPath = source?.startsWith('/') ?? false;
  if (source !== undefined && !isPath && !volumeName.test(source)) {
    throw new VarveError(
      'invalid',
      'INVALID_VOLUME_NAME',
      `create ${source}: "${source}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
      { subject: source },
    );
  }
  return {
    type: isPath ? 'bind' : 'volume',
    ...(source === undefined ? {} : { source: isPath ? posix.normalize(source) : source }),
    destination,
    readOnly: words.includes('ro'),
    mode: mode || (isPath ? '' : 'z'),
    propagation: words.find((word) => propagations.includes(word)) ?? (isPath ? 'rprivate' : ''),
    noCopy: words.includes('nocopy'),
    createHostFolder: isPath,
    recursive: true,
    ...(volumeDriver && !isPath ? { driver: volumeDriver } : {}),
    options: [],
  };
}

/** Reads the options of `--tmpfs path:options`. @throws VarveError `invalid` in Docker's words. */
function tmpfsOptions(text: string): string[] {
  const options = text.split(',').filter((option) => option !== '');
  for (const option of options) {
    if (tmpfsFlag.test(option) || tmpfsValue.test(option) || propagations.includes(option)) continue;
    throw new VarveError('invalid', 'INVALID_TMPFS', `invalid tmpfs option "${option}"`, { subject: option });
  }
  return options;
}

/** Reads one entry of `HostConfig.Mounts`. @throws VarveError `invalid`, `not-implemented` for types we lack. */
export function parseMount(mount: MountRequest): WantedMount {
  const wrong = (why: string): VarveError =>
    new VarveError('invalid', 'INVALID_MOUNT', `invalid mount config for type "${mount.Type}": ${why}`);
  if (!mount.Target) throw wrong('field Target must not be empty');
  if (!mount.Target.startsWith('/'))
    throw wrong(`invalid mount path: '${mount.Target}' mount path must be absolute`);
  if ([mount.Target, mount.Source ?? ''].some((path) => path.includes('\0'))) throw wrong('contains NUL');
  const destination = posix.normalize(mount.Target).replace(/(?<=.)\/$/, '');
  if (destination === '/') throw wrong("invalid specification: destination can't be '/'");
  const base = {
    destination,
    readOnly: mount.ReadOnly ?? false,
    mode: '',
    propagation: '',
    noCopy: false,
    createHostFolder: false,
    recursive: true,
    options: [] as readonly string[],
    spec: mount,
  };
  if (mount.Type === 'bind') {
    if (!mount.Source) throw wrong('field Source must not be empty');
    if (!mount.Source.startsWith('/'))
      throw wrong(`invalid mount path: '${mount.Source}' mount path must be absolute`);
    const propagation = mount.BindOptions?.Propagation || 'rprivate';
    if (!propagations.includes(propagation)) throw wrong(`invalid propagation mode: ${propagation}`);
    return {
      ...base,
      type: 'bind',
      source: posix.normalize(mount.Source),
      propagation,
      createHostFolder: mount.BindOptions?.CreateMountpoint ?? false,
      recursive: !mount.BindOptions?.NonRecursive,
    };
  }
  if (mount.Type === 'volume') {
    if (mount.Source && !volumeName.test(mount.Source)) {
      throw wrong(`"${mount.Source}" includes invalid characters for a local volume name`);
    }
    const options = mount.VolumeOptions;
    const subpath = options?.Subpath;
    if (subpath && (subpath.startsWith('/') || subpath.split('/').includes('..') || subpath.includes('\0'))) {
      throw wrong('subpath must be a relative path within the volume');
    }
    return {
      ...base,
      type: 'volume',
      ...(mount.Source ? { source: mount.Source } : {}),
      mode: 'z',
      noCopy: options?.NoCopy ?? false,
      ...(options?.DriverConfig?.Name ? { driver: options.DriverConfig.Name } : {}),
      ...(options?.DriverConfig?.Options ? { driverOptions: options.DriverConfig.Options } : {}),
      ...(options?.Labels ? { labels: options.Labels } : {}),
    };
  }
  if (mount.Type === 'tmpfs') {
    if (mount.Source) throw wrong('field Source must not be specified');
    const { SizeBytes, Mode } = mount.TmpfsOptions ?? {};
    if ((SizeBytes ?? 0) < 0) throw wrong('size must not be negative');
    if ((Mode ?? 0) < 0 || (Mode ?? 0) > 0o7777) throw wrong(`invalid mode: ${Mode}`);
    return {
      ...base,
      type: 'tmpfs',
      options: [...(SizeBytes ? [`size=${SizeBytes}`] : []), ...(Mode ? [`mode=${Mode.toString(8)}`] : [])],
    };
  }
  throw new VarveError('not-implemented', 'MOUNT_TYPE', `mounts of type "${mount.Type}" are not supported`, {
    hint: 'use bind, volume or tmpfs',
  });
}

/**
 * All mounts a container asks for. Of one destination the most explicit wins: `Mounts` and `Binds`, then `Tmpfs`, then
 * `--volumes-from` (given in `inherited`), then the image's `Volumes`.
 * @throws VarveError `invalid` when two explicit ones share a destination.
 */
export function wantedMounts(
  config: ContainerSettings,
  host: HostConfig,
  inherited: readonly WantedMount[],
): WantedMount[] {
  const result = new Map<string, WantedMount>();
  const explicit = [
    ...(host.Binds ?? []).map((spec) => parseBind(spec, host.VolumeDriver)),
    ...(host.Mounts ?? []).map(parseMount),
    ...Object.entries(host.Tmpfs ?? {}).map(
      ([destination, options]): WantedMount => ({
        type: 'tmpfs',
        destination: checkDestination(destination, destination),
        readOnly: false,
        mode: '',
        propagation: '',
        noCopy: true,
        createHostFolder: false,
        recursive: true,
        options: tmpfsOptions(options),
      }),
    ),
  ];
  for (const mount of explicit) {
    if (result.has(mount.destination)) {
      throw new VarveError('invalid', 'DUPLICATE_MOUNT', `Duplicate mount point: ${mount.destination}`, {
        subject: mount.destination,
      });
    }
    result.set(mount.destination, mount);
  }
  const implied = [
    ...inherited,
    ...Object.keys(config.Volumes ?? {}).map((path) => parseBind(path, host.VolumeDriver)),
  ];
  for (const mount of implied) {
    if (!result.has(mount.destination)) result.set(mount.destination, mount);
  }
  return [...result.values()];
}
