import { closeSync } from 'node:fs';
import { VarveError } from '../base/index.ts';
import { declare, errnoName, systemError } from './libc.ts';

/**
 * Route netlink (rtnetlink(7)): links, addresses and routes by message instead of by starting `ip`. One request is
 * tens of microseconds where a process is several milliseconds.
 */

const socketCall = declare<(domain: number, type: number, protocol: number) => number>(
  'int socket(int domain, int type, int protocol)',
);
type Send = (fd: number, bytes: Buffer, length: number, flags: number) => number;
const send = declare<Send>('long send(int fd, const void *bytes, size_t length, int flags)');
const receive = declare<Send>('long recv(int fd, void *bytes, size_t length, int flags)');
const setOption = declare<(fd: number, level: number, name: number, value: Buffer, length: number) => number>(
  'int setsockopt(int fd, int level, int name, const void *value, unsigned int length)',
);

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const MSG_DONTWAIT = 0x40;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const HEADER_BYTES = 16;
const ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;

/** Flags of a request (netlink(7)). */
export const NLM = { request: 1, ack: 4, excl: 0x200, create: 0x400, dump: 0x300 } as const;

const align = (length: number): number => (length + 3) & ~3;

/** One attribute: type and bytes, a number as u32, a text with its NUL, or nested attributes. */
export function attribute(type: number, value: Buffer | number | string | readonly Buffer[]): Buffer {
  let payload: Buffer;
  if (typeof value === 'number') {
    payload = Buffer.alloc(4);
    payload.writeUInt32LE(value);
  } else if (typeof value === 'string') {
    payload = Buffer.from(`${value}\0`);
  } else {
    payload = Buffer.isBuffer(value) ? value : Buffer.concat(value);
  }
  const bytes = Buffer.alloc(align(4 + payload.length));
  bytes.writeUInt16LE(4 + payload.length, 0);
  bytes.writeUInt16LE(type, 2);
  payload.copy(bytes, 4);
  return bytes;
}

/** The attributes in a received message, by type; a length that lies ends the reading. */
export function parseAttributes(bytes: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < 4 || at + length > bytes.length) break;
    found.set(bytes.readUInt16LE(at + 2) & 0x3fff, bytes.subarray(at + 4, at + length));
    at += align(length);
  }
  return found;
}

export interface NetlinkMessage {
  readonly type: number;
  readonly body: Buffer;
}

/** What a request is: for error texts, its message type, its flags beside request and ack, its body. */
export interface NetlinkRequest {
  readonly what: string;
  readonly type: number;
  readonly flags?: number;
  readonly body: readonly Buffer[];
}

function openSocket(protocol: number): number {
  const fd = socketCall(AF_NETLINK, SOCK_RAW_CLOEXEC, protocol);
  if (fd < 0) throw systemError('socket', 'AF_NETLINK');
  const one = Buffer.from([1, 0, 0, 0]);
  setOption(fd, SOL_NETLINK, NETLINK_CAP_ACK, one, 4);
  setOption(fd, SOL_NETLINK, NETLINK_EXT_ACK, one, 4);
  return fd;
}

/** A socket to the kernel's routing tables of the namespace it was made in. */
export class RouteSocket implements Disposable {
  readonly #fd: number;
  /** Requests that take their time have a socket of their own, one at a time: answers are told apart by nothing else. */
  readonly #slowFd: number;
  #slow: Promise<unknown> = Promise.resolve();
  #sequence = 1;

  /** @param protocol of netlink; NETLINK_ROUTE when absent. */
  constructor(protocol = 0) {
    this.#fd = openSocket(protocol);
    this.#slowFd = openSocket(protocol);
  }

  /** Carries a request out on a thread of the pool: deleting a device waits for the kernel, tens of milliseconds. */
  request(request: NetlinkRequest): Promise<void> {
    const mine = this.#slow.then(() => this.#requestSlow(request));
    this.#slow = mine.catch(() => undefined);
    return mine;
  }

  async #requestSlow(request: NetlinkRequest): Promise<void> {
    const bytes = this.#encode(request, NLM.ack);
    const { async: sendInBackground } = send as unknown as {
      async: (...args: [...Parameters<Send>, (error: Error | null, sent: number) => void]) => void;
    };
    const sent = await new Promise<number>((resolve, reject) => {
      sendInBackground(this.#slowFd, bytes, bytes.length, 0, (error, result) =>
        error ? reject(error) : resolve(result),
      );
    });
    if (sent < 0) throw new VarveError('internal', 'NETLINK', `${request.what}: the kernel took no message`);
    this.#acknowledged(this.#slowFd, request);
  }

  /** The same, at once. For short requests inside another namespace. */
  requestNow(request: NetlinkRequest): void {
    const bytes = this.#encode(request, NLM.ack);
    if (send(this.#fd, bytes, bytes.length, 0) < 0) throw systemError('send', request.what);
    this.#acknowledged(this.#fd, request);
  }

  /** All messages of a dump. */
  dump(request: NetlinkRequest): NetlinkMessage[] {
    const bytes = this.#encode(request, NLM.dump);
    if (send(this.#fd, bytes, bytes.length, 0) < 0) throw systemError('send', request.what);
    const messages: NetlinkMessage[] = [];
    for (;;) {
      for (const message of this.#receive(this.#fd, request)) {
        if (message.type === NLMSG_DONE) return messages;
        if (message.type === NLMSG_ERROR) throw failure(request, message.body);
        messages.push(message);
      }
    }
  }

  #encode(request: NetlinkRequest, flags: number): Buffer {
    const body = Buffer.concat(request.body);
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32LE(HEADER_BYTES + body.length, 0);
    header.writeUInt16LE(request.type, 4);
    header.writeUInt16LE(NLM.request | flags | (request.flags ?? 0), 6);
    header.writeUInt32LE(this.#sequence++, 8);
    return Buffer.concat([header, body]);
  }

  // The kernel answers within send(2), so the answer is there already.
  *#receive(fd: number, request: NetlinkRequest): Generator<NetlinkMessage> {
    const buffer = Buffer.alloc(64 * 1024);
    const length = receive(fd, buffer, buffer.length, MSG_DONTWAIT);
    if (length < 0) throw systemError('recv', request.what);
    for (let at = 0; at + HEADER_BYTES <= length; ) {
      const size = buffer.readUInt32LE(at);
      if (size < HEADER_BYTES || at + size > length) break;
      // The flags matter for an error only, which carries them as its second word.
      const flags = buffer.readUInt16LE(at + 6);
      const type = buffer.readUInt16LE(at + 4);
      const body = buffer.subarray(at + HEADER_BYTES, at + size);
      yield {
        type,
        body: type === NLMSG_ERROR && (flags & ACK_TLVS) === 0 ? body.subarray(0, 4 + HEADER_BYTES) : body,
      };
      at += align(size);
    }
  }

  #acknowledged(fd: number, request: NetlinkRequest): void {
    for (const message of this.#receive(fd, request)) {
      if (message.type === NLMSG_ERROR && message.body.readInt32LE(0) !== 0) {
        throw failure(request, message.body);
      }
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
    closeSync(this.#slowFd);
  }
}

function failure(request: NetlinkRequest, body: Buffer): VarveError {
  const name = errnoName(-body.readInt32LE(0));
  const text = parseAttributes(body.subarray(4 + HEADER_BYTES)).get(NLMSGERR_ATTR_MSG);
  const reason = text === undefined ? '' : ` (${text.toString('utf8').replace(/\0.*$/s, '')})`;
  const kind =
    name === 'EEXIST'
      ? 'conflict'
      : name === 'ENODEV' || name === 'ENOENT' || name === 'ESRCH'
        ? 'not-found'
        : 'internal';
  return new VarveError(kind, name, `${request.what}: ${name}${reason}`);
}
