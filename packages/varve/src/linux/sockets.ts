import { closeSync, constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { basename, dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { declare, errnoName, lastErrno, systemError } from './libc.ts';
import { closeFd } from './process.ts';

const socketCall = declare<(domain: number, type: number, protocol: number) => number>(
  'int socket(int domain, int type, int protocol)',
);
const connectCall = declare<(fd: number, address: Buffer, length: number) => number>(
  'int connect(int fd, void *address, int length)',
);

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SUN_PATH_BYTES = 108;

interface PipeHandle {
  open(fd: number): number;
}
interface PipeWrap {
  readonly Pipe: new (type: number) => PipeHandle;
  readonly constants: { readonly SOCKET: number };
}

// `new net.Socket({ fd })` refuses a SOCK_SEQPACKET descriptor (ERR_INVALID_FD_TYPE), though libuv's pipe handle
// reads and writes it well; so the handle is made by hand.
function pipeWrap(): PipeWrap {
  return (process as unknown as { binding(name: string): PipeWrap }).binding('pipe_wrap');
}

function unixAddress(path: string): Buffer {
  const address = Buffer.alloc(2 + SUN_PATH_BYTES);
  address.writeUInt16LE(AF_UNIX, 0);
  address.write(path, 2);
  return address.subarray(0, 2 + Buffer.byteLength(path) + 1);
}

/**
 * Connects to a SOCK_SEQPACKET unix socket (unix(7)), such as conmon's attach socket. Each `data` event is one packet,
 * each write one packet; `pause()` gives back-pressure, `end()` is shutdown(SHUT_WR). Use events, not `read()` or
 * `pipe()`, which join packets. The path may be longer than sun_path: it is reached through its folder's descriptor.
 * @throws VarveError with code ENOENT or ECONNREFUSED when nobody listens.
 */
export async function connectSeqpacket(path: string): Promise<Socket> {
  const folder = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  const fd = socketCall(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  try {
    if (fd < 0) throw systemError('socket', path);
    const short =
      Buffer.byteLength(path) < SUN_PATH_BYTES ? path : `/proc/self/fd/${folder}/${basename(path)}`;
    const address = unixAddress(short);
    for (let attempt = 0; connectCall(fd, address, address.length) !== 0; attempt++) {
      const errno = lastErrno();
      // EAGAIN: the listener's backlog is full.
      if (errnoName(errno) !== 'EAGAIN' || attempt >= 200) throw systemError('connect', path, errno);
      await sleep(5);
    }
    const { Pipe, constants: kinds } = pipeWrap();
    const handle = new Pipe(kinds.SOCKET);
    const status = handle.open(fd);
    if (status !== 0) throw systemError('uv_pipe_open', path, -status);
    return new Socket({
      handle,
      readable: true,
      writable: true,
      allowHalfOpen: true,
    } as unknown as ConstructorParameters<typeof Socket>[0]);
  } catch (error) {
    if (fd >= 0) closeFd(fd);
    throw error;
  } finally {
    closeSync(folder);
  }
}
