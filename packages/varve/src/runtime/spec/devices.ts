import { readdirSync, realpathSync, type Stats, statSync } from 'node:fs';
import { VarveError } from '../../base/index.ts';
import type { ContainerSpec } from '../types.ts';
import type { OciDevice, OciDeviceRule } from './oci-spec.ts';

const character = (major: number, minor: number | undefined, access = 'rwm'): OciDeviceRule => ({
  allow: true,
  type: 'c',
  major,
  ...(minor === undefined ? {} : { minor }),
  access,
});

/** Devices a container may use: making any node is harmless, opening is limited to these (moby oci/defaults.go). */
const defaultRules: readonly OciDeviceRule[] = [
  { allow: false, access: 'rwm' },
  { allow: true, type: 'c', access: 'm' },
  { allow: true, type: 'b', access: 'm' },
  character(1, 3), // null
  character(1, 5), // zero
  character(1, 7), // full
  character(1, 8), // random
  character(1, 9), // urandom
  character(5, 0), // tty
  character(5, 1), // console
  character(5, 2), // ptmx
  character(136, undefined), // pts
];

// Linux's encoding of st_rdev in user space (makedev(3)).
function deviceNumbers(rdev: number): { major: number; minor: number } {
  const value = BigInt(rdev);
  return {
    major: Number(((value >> 8n) & 0xfffn) | ((value >> 32n) & 0xfffff000n)),
    minor: Number((value & 0xffn) | ((value >> 12n) & 0xffffff00n)),
  };
}

function describe(path: string, stats: Stats): OciDevice | undefined {
  const type = stats.isCharacterDevice() ? 'c' : stats.isBlockDevice() ? 'b' : undefined;
  if (type === undefined) return undefined;
  return {
    path,
    type,
    ...deviceNumbers(stats.rdev),
    fileMode: stats.mode & 0o7777,
    uid: stats.uid,
    gid: stats.gid,
  };
}

const skipped = new Set(['pts', 'shm', 'fd', 'mqueue', 'console', '.lxc', '.lxd-mounts', '.udev']);

/** Device nodes at or below a host path, named as below `target`. */
function collect(host: string, target: string): OciDevice[] {
  const stats = statSync(host, { throwIfNoEntry: false });
  if (stats === undefined) return [];
  if (!stats.isDirectory()) {
    const device = describe(target, stats);
    return device === undefined ? [] : [device];
  }
  return readdirSync(host, { withFileTypes: true })
    .filter((entry) => !skipped.has(entry.name) && !entry.isSymbolicLink())
    .flatMap((entry) => collect(`${host}/${entry.name}`, `${target}/${entry.name}`));
}

/**
 * Nodes to make in the container's /dev and the rules of its device group. Privileged containers get all of the host's.
 * @throws VarveError `invalid` when a given device does not exist or is none, or its permissions are not among `rwm`.
 */
export function buildDevices(spec: ContainerSpec): {
  readonly nodes: readonly OciDevice[];
  readonly rules: readonly OciDeviceRule[];
} {
  const nodes = spec.privileged ? collect('/dev', '/dev') : [];
  const rules: OciDeviceRule[] = spec.privileged ? [{ allow: true, access: 'rwm' }] : [...defaultRules];
  for (const wanted of spec.devices) {
    const access = wanted.permissions === '' ? 'rwm' : wanted.permissions;
    if (!/^[rwm]{1,3}$/.test(access)) {
      throw new VarveError('invalid', 'INVALID_DEVICE', `invalid device mode: ${access}`, {
        subject: wanted.host,
      });
    }
    let found: OciDevice[];
    try {
      found = collect(realpathSync(wanted.host), wanted.container === '' ? wanted.host : wanted.container);
    } catch (error) {
      throw new VarveError(
        'invalid',
        'NO_SUCH_DEVICE',
        `error gathering device information while adding custom device "${wanted.host}": no such file or directory`,
        { subject: wanted.host, cause: error },
      );
    }
    if (found.length === 0) {
      throw new VarveError(
        'invalid',
        'NOT_A_DEVICE',
        `error gathering device information while adding custom device "${wanted.host}": not a device node`,
        { subject: wanted.host },
      );
    }
    for (const device of found) {
      const at = nodes.findIndex((node) => node.path === device.path);
      if (at >= 0) nodes.splice(at, 1);
      nodes.push(device);
      if (device.type !== 'p') {
        rules.push({ allow: true, type: device.type, major: device.major, minor: device.minor, access });
      }
    }
  }
  return { nodes, rules };
}
