import { chmodSync, chownSync, lstatSync, mkdirSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { dirname } from 'node:path';
import { VarveError } from '../base/index.ts';

export type ListenAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'fd'; readonly fd: number };

/** Reads an address to listen on. @throws VarveError `invalid`. */
export function parseListenAddress(text: string): ListenAddress {
  const unix = /^unix:\/\/(\/.+)$/.exec(text);
  if (unix) return { kind: 'unix', path: unix[1] as string };
  const fd = /^fd:\/\/(\d*)$/.exec(text);
  if (fd) return { kind: 'fd', fd: fd[1] === '' ? 3 : Number(fd[1]) };
  const tcp = /^tcp:\/\/(\[[0-9a-fA-F:]+\]|[^:/[\]]*)(?::(\d{1,5}))?\/?$/.exec(text);
  if (tcp) {
    return {
      kind: 'tcp',
      host: (tcp[1] as string).replace(/^\[|\]$/g, '') || '127.0.0.1',
      port: Number(tcp[2] ?? 2375),
    };
  }
  throw new VarveError('invalid', 'INVALID_HOST', `invalid address to listen on: ${text}`, {
    subject: text,
    hint: 'use unix:///path, tcp://host:port or fd://3',
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** Takes a dead engine's socket away; anything else at that path stays. */
async function clearSocket(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat) return;
  if (!stat.isSocket() || (await answers(path))) {
    throw new VarveError('conflict', 'ADDRESS_IN_USE', `cannot listen on ${path}: it is in use`, {
      subject: path,
    });
  }
  rmSync(path);
}

function started(server: Server, begin: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      reject(
        error.code === 'EADDRINUSE'
          ? new VarveError('conflict', 'ADDRESS_IN_USE', `cannot listen: ${error.message}`, { cause: error })
          : VarveError.from(error),
      );
    };
    server.once('error', failed);
    server.once('listening', () => {
      server.off('error', failed);
      resolve();
    });
    begin();
  });
}

/** Begins to listen and gives the address with its final port. A unix socket is for its owner and group alone. */
export async function listen(
  server: Server,
  address: ListenAddress,
  options: { readonly socketGroup?: number } = {},
): Promise<string> {
  if (address.kind === 'fd') {
    await started(server, () => server.listen({ fd: address.fd }));
    return `fd://${address.fd}`;
  }
  if (address.kind === 'tcp') {
    await started(server, () => server.listen({ host: address.host, port: address.port }));
    const { port } = server.address() as AddressInfo;
    return `tcp://${address.host.includes(':') ? `[${address.host}]` : address.host}:${port}`;
  }
  mkdirSync(dirname(address.path), { recursive: true, mode: 0o711 });
  await clearSocket(address.path);
  await started(server, () => {
    // listen() binds before it returns: with this mask nobody else can connect before chmod.
    const before = process.umask(0o117);
    try {
      server.listen({ path: address.path });
    } finally {
      process.umask(before);
    }
  });
  chmodSync(address.path, 0o660);
  if (options.socketGroup !== undefined) chownSync(address.path, 0, options.socketGroup);
  return `unix://${address.path}`;
}
