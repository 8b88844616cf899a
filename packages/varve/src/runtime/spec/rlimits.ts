import { VarveError } from '../../base/index.ts';
import type { ContainerSpec } from '../types.ts';
import type { OciRlimit } from './oci-spec.ts';

/** Docker's names of limits (go-units ulimit.go) with their name in /proc/self/limits. */
const limits: Readonly<Record<string, { readonly type: string; readonly proc: string }>> = {
  core: { type: 'RLIMIT_CORE', proc: 'Max core file size' },
  cpu: { type: 'RLIMIT_CPU', proc: 'Max cpu time' },
  data: { type: 'RLIMIT_DATA', proc: 'Max data size' },
  fsize: { type: 'RLIMIT_FSIZE', proc: 'Max file size' },
  locks: { type: 'RLIMIT_LOCKS', proc: 'Max file locks' },
  memlock: { type: 'RLIMIT_MEMLOCK', proc: 'Max locked memory' },
  msgqueue: { type: 'RLIMIT_MSGQUEUE', proc: 'Max msgqueue size' },
  nice: { type: 'RLIMIT_NICE', proc: 'Max nice priority' },
  nofile: { type: 'RLIMIT_NOFILE', proc: 'Max open files' },
  nproc: { type: 'RLIMIT_NPROC', proc: 'Max processes' },
  rss: { type: 'RLIMIT_RSS', proc: 'Max resident set' },
  rtprio: { type: 'RLIMIT_RTPRIO', proc: 'Max realtime priority' },
  rttime: { type: 'RLIMIT_RTTIME', proc: 'Max realtime timeout' },
  sigpending: { type: 'RLIMIT_SIGPENDING', proc: 'Max pending signals' },
  stack: { type: 'RLIMIT_STACK', proc: 'Max stack size' },
};

/** What the container gets for open files when nothing is asked: the kernel's own defaults, as containerd sets them now. */
const defaultNofile = { name: 'nofile', soft: 1024, hard: 524_288 };

/**
 * Limits of the container's processes. A daemon without CAP_SYS_RESOURCE cannot raise a hard limit (setrlimit(2)), so
 * then each is clipped to the daemon's own.
 * Infinity stands for RLIM_INFINITY; {@link encodeSpec} writes it as the number that JSON numbers here cannot hold.
 * @throws VarveError `invalid` in Docker's words for an unknown name or a soft limit above the hard one.
 */
export function buildRlimits(
  ulimits: ContainerSpec['ulimits'],
  own: { readonly mayRaise: boolean; readonly hardLimit: (procName: string) => number },
): readonly OciRlimit[] {
  const wanted = ulimits.some((limit) => limit.name === 'nofile') ? ulimits : [defaultNofile, ...ulimits];
  return wanted.map(({ name, soft, hard }) => {
    const known = limits[name];
    if (known === undefined) {
      throw new VarveError('invalid', 'INVALID_ULIMIT', `invalid ulimit type: ${name}`, { subject: name });
    }
    const most = own.mayRaise ? Number.POSITIVE_INFINITY : own.hardLimit(known.proc);
    const value = (given: number): number => Math.min(given < 0 ? Number.POSITIVE_INFINITY : given, most);
    if (value(soft) > value(hard)) {
      throw new VarveError(
        'invalid',
        'INVALID_ULIMIT',
        `ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}`,
        { subject: name },
      );
    }
    return { type: known.type, soft: value(soft), hard: value(hard) };
  });
}
