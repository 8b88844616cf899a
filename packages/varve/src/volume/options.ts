import { VarveError } from '../base/index.ts';
import { mountFlags } from '../linux/index.ts';

/** A mount(2) that an option set of the local driver asks for; undefined when the volume is a plain folder. */
export interface VolumeMount {
  readonly type: string;
  readonly device: string;
  readonly flags: number;
  /** For the file system itself: `size=64m,uid=1000`. */
  readonly data: string;
}

const known = new Set(['type', 'device', 'o']);
const printable = /^[\x20-\x7e]*$/;

// Words of mount(8) that are flags of mount(2); the rest goes to the file system. Propagation words are not among
// them: a volume must not spread its mounts back to the host (CVE-2024-9407).
const flagWords: Readonly<Record<string, readonly [set: number, clear: number]>> = {
  defaults: [0, 0],
  bind: [mountFlags.bind, 0],
  rbind: [mountFlags.bind | mountFlags.recursive, 0],
  ro: [mountFlags.readOnly, 0],
  rw: [0, mountFlags.readOnly],
  nosuid: [mountFlags.noSuid, 0],
  suid: [0, mountFlags.noSuid],
  nodev: [mountFlags.noDev, 0],
  dev: [0, mountFlags.noDev],
  noexec: [mountFlags.noExec, 0],
  exec: [0, mountFlags.noExec],
  noatime: [mountFlags.noAtime, 0],
  relatime: [mountFlags.relatime, 0],
  strictatime: [mountFlags.strictAtime, 0],
};
const refused = /^r?(?:shared|slave|private|unbindable)$/;

function invalid(message: string): VarveError {
  return new VarveError('invalid', 'INVALID_VOLUME_OPTION', message);
}

/**
 * Reads the options of Docker's local driver: `type`, `device`, `o`.
 * @throws VarveError `invalid` for an unknown option, a missing part or what no mount option can be.
 */
export function parseVolumeOptions(options: Readonly<Record<string, string>>): VolumeMount | undefined {
  for (const [name, value] of Object.entries(options)) {
    if (!known.has(name)) throw invalid(`invalid option: "${name}"`);
    if (!printable.test(value)) throw invalid(`invalid value of option "${name}"`);
  }
  const { type = '', device = '', o = '' } = options;
  if (type === '' && device === '' && o === '') return undefined;
  if (device === '') throw invalid('missing device in volume options');
  if (!/^[a-z0-9._-]*$/.test(type)) throw invalid(`invalid type "${type}"`);
  let flags = 0;
  const data: string[] = [];
  for (const word of o.split(',').filter((part) => part !== '')) {
    if (refused.test(word)) throw invalid(`mount propagation "${word}" is not an option of a volume`);
    const flag = Object.hasOwn(flagWords, word) ? flagWords[word] : undefined;
    if (flag) flags = (flags | flag[0]) & ~flag[1];
    else data.push(word);
  }
  const isBind = (flags & mountFlags.bind) !== 0;
  if (type === '' && !isBind) throw invalid('missing type in volume options');
  if (isBind && !device.startsWith('/'))
    throw invalid(`device of a bind must be an absolute path: "${device}"`);
  return { type: isBind ? 'none' : type, device, flags, data: data.join(',') };
}
