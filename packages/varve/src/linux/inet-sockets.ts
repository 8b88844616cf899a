import { closeSync } from 'node:fs';
import { declare, systemError } from './libc.ts';

const socketCall = declare<(domain: number, type: number, protocol: number) => number>(
  'int socket(int domain, int type, int protocol)',
);
const bindCall = declare<(fd: number, address: Buffer, length: number) => number>(
  'int bind(int fd, void *address, int length)',
);
const listenCall = declare<(fd: number, backlog: number) => number>('int listen(int fd, int backlog)');
const nameCall = declare<(fd: number, address: Buffer, length: Buffer) => number>(
  'int getsockname(int fd, void *address, void *length)',
);

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const ADDRESS_BYTES = 16;

/**
 * A bound IPv4 socket as a descriptor, made at once in the thread's network namespace (node:net and node:dgram bind
 * later, on the loop). A `tcp` one listens. Hand it to `server.listen({ fd })` or `socket.bind({ fd })`.
 * @param port 0 for a free one.
 * @throws VarveError with code EADDRINUSE and so on.
 */
export function bindInet(kind: 'udp' | 'tcp', host: string, port: number): { fd: number; port: number } {
  const fd = socketCall(AF_INET, (kind === 'udp' ? SOCK_DGRAM : SOCK_STREAM) | NONBLOCK_CLOEXEC, 0);
  if (fd < 0) throw systemError('socket', `${host}:${port}/${kind}`);
  try {
    const address = Buffer.alloc(ADDRESS_BYTES);
    address.writeUInt16LE(AF_INET, 0);
    address.writeUInt16BE(port, 2);
    Buffer.from(host.split('.').map(Number)).copy(address, 4);
    if (bindCall(fd, address, ADDRESS_BYTES) !== 0) throw systemError('bind', `${host}:${port}/${kind}`);
    if (kind === 'tcp' && listenCall(fd, 128) !== 0) throw systemError('listen', `${host}:${port}/${kind}`);
    const length = Buffer.alloc(4);
    length.writeInt32LE(ADDRESS_BYTES);
    if (nameCall(fd, address, length) !== 0) throw systemError('getsockname', `${host}:${port}/${kind}`);
    return { fd, port: address.readUInt16BE(2) };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
