import { constants, createGzip, createZstdCompress } from 'node:zlib';
import { VarveError } from '../../base/index.ts';
import type { Compression } from '../types.ts';
import type { FastGzip, GzipDeflate } from './codecs.ts';
import type { Emit } from './inflate.ts';
import { ZlibHandle } from './zlib-handle.ts';

/** Turns plain bytes into compressed ones. How the input is cut into pieces does not change the output. */
export interface Deflater {
  push(input: Buffer, emit: Emit): void;
  finish(emit: Emit): void;
  close(): void;
}

const outputSize = 1 << 20;

/**
 * @param level of zlib (1 to 9) or zstd (1 to 22); 6 and 3 unless given. ISA-L has its own one.
 * @param fast used for gzip when given and no level is asked for.
 */
export function createDeflater(compression: Compression, level?: number, fast?: FastGzip): Deflater {
  switch (compression) {
    case 'none':
      return { push: (input, emit) => emit(input), finish: () => undefined, close: () => undefined };
    case 'gzip':
      return fast && level === undefined
        ? new FastDeflater(fast.deflate())
        : new NodeDeflater('gzip', level ?? 6);
    case 'zstd':
      return new NodeDeflater('zstd', level ?? 3);
  }
}

/** Input is gathered to blocks of this size, so that the output depends on the bytes alone. */
const inputBlock = 1 << 20;

class FastDeflater implements Deflater {
  readonly #codec: GzipDeflate;
  readonly #input = Buffer.allocUnsafeSlow(inputBlock);
  readonly #output = Buffer.allocUnsafeSlow(outputSize);
  #filled = 0;

  constructor(codec: GzipDeflate) {
    this.#codec = codec;
  }

  push(input: Buffer, emit: Emit): void {
    for (let at = 0; at < input.length; ) {
      const taken = input.copy(this.#input, this.#filled, at);
      at += taken;
      this.#filled += taken;
      if (this.#filled === inputBlock) this.#compress(false, emit);
    }
  }

  finish(emit: Emit): void {
    this.#compress(true, emit);
  }

  #compress(last: boolean, emit: Emit): void {
    let rest = this.#input.subarray(0, this.#filled);
    this.#filled = 0;
    for (;;) {
      const step = this.#codec.step(rest, last, this.#output);
      rest = rest.subarray(step.consumed);
      if (step.produced > 0) emit(this.#output.subarray(0, step.produced));
      const full = step.produced === this.#output.length;
      if (last ? step.ended : rest.length === 0 && !full) return;
    }
  }

  close(): void {}
}

class NodeDeflater implements Deflater {
  readonly #handle: ZlibHandle;
  readonly #output = Buffer.allocUnsafeSlow(outputSize);
  readonly #continue: number;
  readonly #end: number;

  constructor(kind: 'gzip' | 'zstd', level: number) {
    this.#handle = new ZlibHandle(
      kind === 'gzip'
        ? createGzip({ level })
        : createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: level } }),
    );
    this.#continue = kind === 'gzip' ? constants.Z_NO_FLUSH : constants.ZSTD_e_continue;
    this.#end = kind === 'gzip' ? constants.Z_FINISH : constants.ZSTD_e_end;
  }

  push(input: Buffer, emit: Emit): void {
    this.#run(this.#continue, input, emit);
  }

  finish(emit: Emit): void {
    this.#run(this.#end, Buffer.alloc(0), emit);
  }

  #run(flush: number, input: Buffer, emit: Emit): void {
    let rest = input;
    for (;;) {
      const step = this.#handle.step(flush, rest, this.#output);
      const { failure } = this.#handle;
      if (failure) throw new VarveError('internal', 'COMPRESS_FAILED', `compressing: ${failure.message}`);
      rest = rest.subarray(step.consumed);
      if (step.produced > 0) emit(this.#output.subarray(0, step.produced));
      if (step.produced < this.#output.length && rest.length === 0) return;
    }
  }

  close(): void {
    this.#handle.close();
  }
}
