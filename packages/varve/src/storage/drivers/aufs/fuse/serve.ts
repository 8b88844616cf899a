import { readSync, writeSync } from 'node:fs';
import { VarveError } from '../../../../base/index.ts';
import { errno } from '../../../../linux/index.ts';
import { type OperationName, opcodes } from './protocol.ts';
import { Reply } from './reply.ts';
import { Request } from './request.ts';

/** Answers one kind of request: bytes of the answer behind the header, or a negative errno. */
export type Operation = (request: Request, reply: Reply) => number;

/** What a file system can do; what is missing gets ENOSYS, which the kernel remembers where it can do without. */
export type Operations = Partial<Readonly<Record<OperationName, Operation>>>;

/** Requests so far, by name; `other` are those without an operation. */
export type RequestCounts = Partial<Record<OperationName | 'other', number>>;

/** The kernel waits for no answer to these. */
const silent: ReadonlySet<number> = new Set([opcodes.forget, opcodes.batchForget, opcodes.interrupt]);

// One request is answered before the next is read, whichever connection it comes from.
const request = new Request();
const reply = new Reply();

/** Serves a FUSE connection, one request a call. */
export class FuseSession {
  readonly connection: number;
  readonly #counts: RequestCounts;
  readonly #table: { readonly name: OperationName; readonly run: Operation | undefined }[] = [];

  /** @param counts filled while it runs. */
  constructor(connection: number, operations: Operations, counts: RequestCounts) {
    this.connection = connection;
    this.#counts = counts;
    for (const [name, number] of Object.entries(opcodes) as [OperationName, number][]) {
      this.#table[number] = { name, run: operations[name] };
    }
  }

  /** Reads a request, if there is one, and answers it. False when the file system is gone. */
  step(): boolean {
    const got = this.#read();
    if (got !== 'request') return got === 'nothing';
    const { opcode } = request;
    const known = this.#table[opcode];
    const name = known?.run ? known.name : 'other';
    this.#counts[name] = (this.#counts[name] ?? 0) + 1;
    const status = known?.run ? answer(known.run) : -errno.ENOSYS;
    if (!silent.has(opcode)) this.#send(reply.seal(request.unique, status));
    return true;
  }

  #read(): 'request' | 'nothing' | 'gone' {
    try {
      readSync(this.connection, request.buffer);
      return 'request';
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // ENOENT: the request was interrupted before it was read.
      if (code === 'ENOENT' || code === 'EINTR' || code === 'EAGAIN') return 'nothing';
      if (code === 'ENODEV' || code === 'ECONNABORTED') return 'gone';
      throw error;
    }
  }

  #send(length: number): void {
    try {
      writeSync(this.connection, reply.buffer, 0, length);
    } catch (error) {
      // ENOENT: who asked is gone. ENODEV: so is the file system, which the next read tells.
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ENODEV') throw error;
    }
  }
}

function answer(run: Operation): number {
  try {
    return run(request, reply);
  } catch (error) {
    return -errnoOf(error);
  }
}

/** The errno behind a failure of Node's or of ours; EIO for anything else. */
function errnoOf(error: unknown): number {
  const data = VarveError.is(error) ? error.data?.['errno'] : (error as NodeJS.ErrnoException).errno;
  return typeof data === 'number' && data !== 0 ? Math.abs(data) : errno.EIO;
}
