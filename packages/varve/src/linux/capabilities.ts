import { readFileSync } from 'node:fs';
import { declare, systemError } from './libc.ts';

/** Every capability by its bit, as capabilities(7) numbers them. */
export const capabilityNames: readonly string[] = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_DAC_READ_SEARCH',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETPCAP',
  'CAP_LINUX_IMMUTABLE',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_BROADCAST',
  'CAP_NET_ADMIN',
  'CAP_NET_RAW',
  'CAP_IPC_LOCK',
  'CAP_IPC_OWNER',
  'CAP_SYS_MODULE',
  'CAP_SYS_RAWIO',
  'CAP_SYS_CHROOT',
  'CAP_SYS_PTRACE',
  'CAP_SYS_PACCT',
  'CAP_SYS_ADMIN',
  'CAP_SYS_BOOT',
  'CAP_SYS_NICE',
  'CAP_SYS_RESOURCE',
  'CAP_SYS_TIME',
  'CAP_SYS_TTY_CONFIG',
  'CAP_MKNOD',
  'CAP_LEASE',
  'CAP_AUDIT_WRITE',
  'CAP_AUDIT_CONTROL',
  'CAP_SETFCAP',
  'CAP_MAC_OVERRIDE',
  'CAP_MAC_ADMIN',
  'CAP_SYSLOG',
  'CAP_WAKE_ALARM',
  'CAP_BLOCK_SUSPEND',
  'CAP_AUDIT_READ',
  'CAP_PERFMON',
  'CAP_BPF',
  'CAP_CHECKPOINT_RESTORE',
];

/** Names of the capabilities in a mask as /proc/<pid>/status prints it. */
export function decodeCapabilities(hex: string): string[] {
  const mask = BigInt(`0x${hex}`);
  return capabilityNames.filter((_, bit) => (mask >> BigInt(bit)) & 1n);
}

/** What this process holds: `effective`, `bounding`, … (proc(5), status). */
export function ownCapabilities(set: 'effective' | 'permitted' | 'bounding' = 'bounding'): string[] {
  const field = { effective: 'CapEff', permitted: 'CapPrm', bounding: 'CapBnd' }[set];
  const match = new RegExp(`^${field}:\\s*([0-9a-f]+)$`, 'm').exec(readFileSync('/proc/self/status', 'utf8'));
  return decodeCapabilities(match?.[1] ?? '0');
}

/** Hard limit of a resource of this process by its name in proc(5) limits, such as `Max open files`; Infinity when unlimited. */
export function ownHardLimit(name: string): number {
  const line = readFileSync('/proc/self/limits', 'utf8')
    .split('\n')
    .find((text) => text.startsWith(`${name} `));
  const value = line?.slice(26).trim().split(/\s+/)[1];
  return value === undefined || value === 'unlimited' ? Number.POSITIVE_INFINITY : Number(value);
}

const capget = declare<(header: Buffer, data: Buffer) => number>('int capget(void *header, void *data)');
const capset = declare<(header: Buffer, data: Buffer) => number>(
  'int capset(void *header, const void *data)',
);
const capabilityVersion = 0x2008_0522; // _LINUX_CAPABILITY_VERSION_3

/**
 * Takes capabilities out of this thread's effective and permitted sets, for good. capset(2)
 * @throws VarveError with the errno's name as code.
 */
export function dropCapabilities(names: readonly string[]): void {
  // struct __user_cap_header_struct: version, pid (0: this thread).
  const header = Buffer.alloc(8);
  header.writeUInt32LE(capabilityVersion);
  // Two of struct __user_cap_data_struct: effective, permitted, inheritable; the low 32 bits first.
  const data = Buffer.alloc(24);
  if (capget(header, data) < 0) throw systemError('capget', 'this thread');
  for (const name of names) {
    const bit = capabilityNames.indexOf(name);
    const start = bit < 32 ? 0 : 12;
    for (const offset of [start, start + 4]) {
      data.writeUInt32LE((data.readUInt32LE(offset) & ~(1 << (bit & 31))) >>> 0, offset);
    }
  }
  if (capset(header, data) < 0) throw systemError('capset', 'this thread');
}
