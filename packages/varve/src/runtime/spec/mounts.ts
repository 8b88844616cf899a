import type { ContainerSpec, RuntimeMount } from '../types.ts';
import type { OciMount } from './oci-spec.ts';

const propagations = new Set([
  'private',
  'rprivate',
  'shared',
  'rshared',
  'slave',
  'rslave',
  'unbindable',
  'runbindable',
]);

/** Docker's mounts of every container (moby oci/defaults.go), before privileges and the user's own. */
function defaultMounts(shmSize: number): OciMount[] {
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
    {
      destination: '/sys/fs/cgroup',
      type: 'cgroup',
      source: 'cgroup',
      options: ['ro', 'nosuid', 'noexec', 'nodev'],
    },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
    {
      destination: '/dev/shm',
      type: 'tmpfs',
      source: 'shm',
      options: ['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${shmSize}`],
    },
  ];
}

function bindMount(mount: RuntimeMount): OciMount {
  const options = mount.options.filter(
    (option) => option !== 'ro' && option !== 'rw' && option !== 'z' && option !== 'Z',
  );
  return {
    destination: mount.destination,
    type: 'bind',
    source: mount.source,
    options: [
      ...(options.includes('bind') || options.includes('rbind') ? [] : ['rbind']),
      ...options,
      ...(options.some((option) => propagations.has(option)) ? [] : ['rprivate']),
      mount.readOnly ? 'ro' : 'rw',
    ],
  };
}

function tmpfsMount(mount: RuntimeMount): OciMount {
  const given = mount.options.filter((option) => option !== 'ro' && option !== 'rw');
  const restrictions = [
    ['noexec', 'exec'],
    ['nosuid', 'suid'],
    ['nodev', 'dev'],
  ] as const;
  const defaults = restrictions.filter(([, lifted]) => !given.includes(lifted)).map(([name]) => name);
  return {
    destination: mount.destination,
    type: 'tmpfs',
    source: 'tmpfs',
    options: [...new Set([...defaults, ...given]), mount.readOnly ? 'ro' : 'rw'],
  };
}

function depth(path: string): number {
  return path.split('/').filter((part) => part !== '').length;
}

/**
 * All mounts in the order of their depth, so that none hides an earlier one. A mount of the user's replaces ours at
 * the same place, and one at /dev replaces all under it, as in Docker. Privileged containers get a writable /sys and
 * cgroup tree.
 */
export function buildMounts(spec: ContainerSpec): readonly OciMount[] {
  const user = new Set(spec.mounts.map((mount) => mount.destination));
  const ours = defaultMounts(spec.shmSize)
    .filter(({ destination }) => !user.has(destination))
    .filter(({ destination }) => !(user.has('/dev') && destination.startsWith('/dev/')))
    .map((mount) => {
      if (
        spec.namespaces.ipc === 'host' &&
        (mount.destination === '/dev/shm' || mount.destination === '/dev/mqueue')
      ) {
        const options = ['rbind', 'nosuid', 'noexec', 'nodev'];
        return { ...mount, type: 'bind', source: mount.destination, options };
      }
      if (spec.privileged && (mount.type === 'sysfs' || mount.type === 'cgroup')) {
        return { ...mount, options: mount.options.map((option) => (option === 'ro' ? 'rw' : option)) };
      }
      return mount;
    });
  const theirs = spec.mounts.map((mount) => (mount.type === 'bind' ? bindMount(mount) : tmpfsMount(mount)));
  return [...ours, ...theirs.sort((a, b) => depth(a.destination) - depth(b.destination))];
}

/** Propagation that the root needs for its mounts: a shared mount needs a shared root, a slave at least a slave one. */
export function rootPropagation(mounts: readonly OciMount[]): 'rshared' | 'rslave' | undefined {
  const options = new Set(mounts.flatMap((mount) => mount.options));
  if (options.has('shared') || options.has('rshared')) return 'rshared';
  if (options.has('slave') || options.has('rslave')) return 'rslave';
  return undefined;
}
