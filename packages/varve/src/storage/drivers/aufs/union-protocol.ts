import type { UnionOptions } from './union/serve-union.ts';

/*
 * What an engine and its union servers say to each other, as lines of JSON over two pipes.
 */

/** Asks for a mounted union to be served. */
export interface ServeOrder extends UnionOptions {
  readonly id: number;
  /** The process whose descriptors these are; the server copies them. */
  readonly engine: number;
  /** The FUSE connection. */
  readonly connection: number;
  /** A file that is locked for as long as somebody serves the mount. */
  readonly lock: number;
}

/** `serving` or `failed` answer an order; `gone` says that the mount is no more. */
export interface ServerReport {
  readonly id: number;
  readonly event: 'serving' | 'failed' | 'gone';
  readonly code?: string;
  readonly message?: string;
}

/** Splits what comes through a pipe into lines. */
export class Lines {
  #rest = '';

  /** The lines that are whole now. */
  push(chunk: Buffer): string[] {
    const lines = (this.#rest + chunk.toString()).split('\n');
    this.#rest = lines.pop() ?? '';
    return lines;
  }
}

/** Descriptors of the server. */
export const serverPipes = { orders: 3, reports: 4 } as const;
