import { VarveError } from '../../base/index.ts';
import { capabilityNames } from '../../linux/index.ts';

/** What a container holds unless told otherwise (moby oci/caps/defaults.go). */
export const defaultCapabilities: readonly string[] = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FSETID',
  'CAP_FOWNER',
  'CAP_MKNOD',
  'CAP_NET_RAW',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETFCAP',
  'CAP_SETPCAP',
  'CAP_NET_BIND_SERVICE',
  'CAP_SYS_CHROOT',
  'CAP_KILL',
  'CAP_AUDIT_WRITE',
];

/**
 * Names as `CAP_…` in upper case, `ALL` kept.
 * @throws VarveError `invalid` in Docker's words for an unknown name, or for one that this daemon does not hold.
 */
function normalize(names: readonly string[], available: ReadonlySet<string>): string[] {
  return names.map((given) => {
    const upper = given.toUpperCase();
    if (upper === 'ALL') return upper;
    const name = upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
    if (!capabilityNames.includes(name)) {
      throw new VarveError('invalid', 'UNKNOWN_CAPABILITY', `unknown capability: "${name}"`, {
        subject: name,
      });
    }
    if (!available.has(name)) {
      throw new VarveError(
        'invalid',
        'CAPABILITY_UNAVAILABLE',
        `capability not supported by your kernel or not available in the current environment: "${name}"`,
        { subject: name, hint: 'the engine itself runs without this capability' },
      );
    }
    return name;
  });
}

/**
 * Capabilities of a container from `--privileged`, `--cap-add` and `--cap-drop`, in Docker's order: drop, then add; `ALL`
 * in either first. "All" means all that `available` (the daemon's bounding set) holds: asking the kernel for more
 * fails with EPERM.
 * @throws VarveError `invalid` for a name that does not exist or is not available.
 */
export function resolveCapabilities(options: {
  readonly add: readonly string[];
  readonly drop: readonly string[];
  readonly privileged: boolean;
  readonly available: readonly string[];
}): readonly string[] {
  const available = new Set(options.available);
  const all = capabilityNames.filter((name) => available.has(name));
  if (options.privileged) return all;
  const drop = normalize(options.drop, available);
  const add = normalize(options.add, available);
  const unique = (names: readonly string[]): string[] => [...new Set(names.filter((name) => name !== 'ALL'))];
  if (add.includes('ALL')) return all.filter((name) => !drop.includes(name));
  if (drop.includes('ALL')) return unique(add);
  const kept = defaultCapabilities.filter((name) => available.has(name) && !drop.includes(name));
  return unique([...kept, ...add]);
}
