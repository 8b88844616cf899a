import { declare, systemError } from './libc.ts';
import { closeFd } from './process.ts';

const pidfdOpen = declare<(nr: number, pid: number, flags: number) => number>(
  'long syscall(long nr, int pid, unsigned int flags)',
);
const pidfdGetfd = declare<(nr: number, pidfd: number, fd: number, flags: number) => number>(
  'long syscall(long nr, int pidfd, int fd, unsigned int flags)',
);

const systemCalls = { pidfdOpen: 434, pidfdGetfd: 438 } as const;

/**
 * A copy of another process's descriptor: the same open file, with its locks. pidfd_open(2), pidfd_getfd(2) (Linux 5.6);
 * it needs the right to trace that process, which root has.
 * @throws VarveError with the errno's name as code: `ESRCH` when the process is gone.
 */
export function copyDescriptor(pid: number, fd: number): number {
  const subject = `descriptor ${fd} of process ${pid}`;
  const process = pidfdOpen(systemCalls.pidfdOpen, pid, 0);
  if (process < 0) throw systemError('pidfd_open', subject);
  const copy = pidfdGetfd(systemCalls.pidfdGetfd, process, fd, 0);
  const error = copy < 0 ? systemError('pidfd_getfd', subject) : undefined;
  closeFd(process);
  if (error) throw error;
  return copy;
}
