import { constants, createGunzip, createZstdDecompress } from 'node:zlib';
import { layerError } from '../errors.ts';
import type { Compression } from '../types.ts';
import type { FastGzip, GzipInflate } from './codecs.ts';
import { ZlibHandle } from './zlib-handle.ts';

/** Takes a piece of output; it must be used before the call returns. */
export type Emit = (output: Buffer) => void;

/** Turns compressed bytes, pushed in pieces, into plain ones, in this thread and with bounded memory. */
export interface Inflater {
  /** @throws VarveError COMPRESSION_DAMAGED, COMPRESSION_TRAILING, or what `emit` throws. */
  push(input: Buffer, emit: Emit): void;
  /** @throws VarveError COMPRESSION_TRUNCATED. */
  finish(): void;
  close(): void;
}

/** 1 MiB: inflating in 16 KiB pieces, Node's default, is a third slower. */
const outputSize = 1 << 20;

/** 128 MiB, what `zstd -d` takes without being asked; a frame may ask for 2 GiB. */
const zstdWindowLog = 27;

/** @param fast used for gzip when given. */
export function createInflater(compression: Compression, fast?: FastGzip): Inflater {
  switch (compression) {
    case 'none':
      return { push: (input, emit) => emit(input), finish: () => undefined, close: () => undefined };
    case 'gzip':
      return fast ? new MemberInflater(fast.inflate()) : new NodeInflater('gzip');
    case 'zstd':
      return new NodeInflater('zstd');
  }
}

/** gzip by a codec that stops at each member's end (RFC 1952 allows several; pigz and estargz write many). */
class MemberInflater implements Inflater {
  readonly #codec: GzipInflate;
  readonly #output = Buffer.allocUnsafeSlow(outputSize);
  #state: 'member' | 'between' | 'zeros' = 'member';
  #empty = true;

  constructor(codec: GzipInflate) {
    this.#codec = codec;
  }

  push(input: Buffer, emit: Emit): void {
    let rest = input;
    if (rest.length > 0) this.#empty = false;
    for (;;) {
      if (this.#state !== 'member') {
        if (rest.length === 0 || !this.#startsMember(rest)) return;
        this.#codec.reset();
        this.#state = 'member';
      }
      const step = this.#codec.step(rest, this.#output);
      if (!step) throw layerError('COMPRESSION_DAMAGED', 'the gzip data is damaged');
      rest = rest.subarray(step.consumed);
      if (step.produced > 0) emit(this.#output.subarray(0, step.produced));
      if (step.ended) this.#state = 'between';
      else if (rest.length === 0 && step.produced < this.#output.length) return;
    }
  }

  /** Between members there may be another, or zeros up to the end as tapes leave them. */
  #startsMember(rest: Buffer): boolean {
    if (this.#state === 'between' && rest[0] === 0x1f) return true;
    if (rest.some((byte) => byte !== 0)) {
      throw layerError('COMPRESSION_TRAILING', 'garbage after the end of the gzip data');
    }
    this.#state = 'zeros';
    return false;
  }

  finish(): void {
    if (this.#state === 'member') {
      throw layerError(
        'COMPRESSION_TRUNCATED',
        this.#empty ? 'no gzip data' : 'the gzip data ends too early',
      );
    }
  }

  close(): void {}
}

/** gzip and zstd by Node's own libraries, which go from member to member and frame to frame themselves. */
class NodeInflater implements Inflater {
  readonly #kind: 'gzip' | 'zstd';
  readonly #handle: ZlibHandle;
  readonly #output = Buffer.allocUnsafeSlow(outputSize);
  readonly #continue: number;
  readonly #end: number;
  #zeros = false;
  #firstByte: number | undefined;

  constructor(kind: 'gzip' | 'zstd') {
    this.#kind = kind;
    this.#handle = new ZlibHandle(
      kind === 'gzip'
        ? createGunzip()
        : createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: zstdWindowLog } }),
    );
    this.#continue = kind === 'gzip' ? constants.Z_SYNC_FLUSH : constants.ZSTD_e_continue;
    this.#end = kind === 'gzip' ? constants.Z_FINISH : constants.ZSTD_e_end;
  }

  push(input: Buffer, emit: Emit): void {
    let rest = input;
    this.#firstByte ??= input[0];
    while (!this.#zeros) {
      const step = this.#handle.step(this.#continue, rest, this.#output);
      this.#check();
      rest = rest.subarray(step.consumed);
      if (step.produced > 0) emit(this.#output.subarray(0, step.produced));
      if (step.produced === this.#output.length) continue;
      if (rest.length === 0) return;
      if (step.consumed === 0) this.#zeros = true;
    }
    if (rest.some((byte) => byte !== 0)) {
      throw layerError('COMPRESSION_TRAILING', `garbage after the end of the ${this.#kind} data`);
    }
  }

  #check(): void {
    const { failure } = this.#handle;
    if (!failure) return;
    // zlib looks for another member by itself, and finds that what follows is none.
    const startedWell = this.#firstByte === (this.#kind === 'gzip' ? 0x1f : 0x28);
    if (startedWell && /incorrect header check|Unknown frame/.test(failure.message)) {
      throw layerError('COMPRESSION_TRAILING', `garbage after the end of the ${this.#kind} data`);
    }
    const early = failure.code === 'Z_BUF_ERROR';
    throw layerError(
      early ? 'COMPRESSION_TRUNCATED' : 'COMPRESSION_DAMAGED',
      early
        ? `the ${this.#kind} data ends too early`
        : `the ${this.#kind} data is damaged (${failure.message})`,
    );
  }

  finish(): void {
    if (this.#zeros) return;
    this.#handle.step(this.#end, Buffer.alloc(0), this.#output);
    this.#check();
  }

  close(): void {
    this.#handle.close();
  }
}
