import { gunzipSync } from 'node:zlib';
import koffi from 'koffi';

/*
 * Intel's ISA-L (Debian libisal2): gzip about three times as fast as zlib in, fifteen times out at its level 1.
 * Its two structures are laid out by hand; igzip_lib.h of 2.x has had these offsets since 2.20 on 64-bit machines.
 */
const inflateState = {
  size: 87_368,
  nextOut: 0,
  availOut: 8,
  nextIn: 16,
  availIn: 32,
  block: 21_160,
  crc: 21_172,
};
const deflateState = {
  size: 82_384,
  nextIn: 0,
  availIn: 8,
  nextOut: 16,
  availOut: 24,
  level: 40,
  levelBufferSize: 44,
  levelBuffer: 48,
  endOfStream: 56,
  gzip: 60,
  state: 84,
};
const blockFinish = 5; // ISAL_BLOCK_FINISH
const streamEnd = 11; // ZSTATE_END
const gzipFormat = 1; // ISAL_GZIP, IGZIP_GZIP
const levelOneBuffer = 282_624; // ISAL_DEF_LVL1_DEFAULT

type Call = (state: Buffer) => number;

interface Isal {
  readonly inflateInit: Call;
  readonly inflateReset: Call;
  readonly inflate: Call;
  readonly deflateInit: Call;
  readonly deflate: Call;
}

let library: Isal | null | undefined;

function load(): Isal | null {
  try {
    const isal = koffi.load('libisal.so.2');
    const call = (name: string): Call => isal.func(`int ${name}(void *state)`);
    return {
      inflateInit: call('isal_inflate_init'),
      inflateReset: call('isal_inflate_reset'),
      inflate: call('isal_inflate'),
      deflateInit: call('isal_deflate_init'),
      deflate: call('isal_deflate'),
    };
  } catch {
    return null;
  }
}

/** Whether the structures are laid out as this file thinks: a small text there and back, checked by zlib. */
function works(): boolean {
  const text = Buffer.from('varve '.repeat(500));
  const packed = Buffer.alloc(4096);
  const plain = Buffer.alloc(4096);
  const deflated = new IsalDeflate().step(text, true, packed);
  const inflated = new IsalInflate().step(packed.subarray(0, deflated.produced), plain);
  return (
    deflated.ended &&
    gunzipSync(packed.subarray(0, deflated.produced)).equals(text) &&
    inflated?.ended === true &&
    plain.subarray(0, inflated.produced).equals(text)
  );
}

function isal(): Isal | null {
  if (library === undefined) {
    library = load();
    try {
      if (library && !works()) library = null;
    } catch {
      library = null;
    }
  }
  return library;
}

/** True when ISA-L is installed and of a version this file knows. */
export function isalAvailable(): boolean {
  return isal() !== null;
}

/** What one call of a codec did. */
export interface CodecStep {
  /** Bytes of the input taken. */
  readonly consumed: number;
  /** Bytes of the output filled. */
  readonly produced: number;
  /** True when the stream (for gzip: one member) is complete, its checksum verified. */
  readonly ended: boolean;
}

/**
 * Memory for a structure, with room for one that grew in another version. Buffers of their own never move, so their
 * address may be kept in another.
 */
function memory(size: number): Buffer {
  return Buffer.allocUnsafeSlow(size + (64 << 10)).fill(0);
}

function address(buffer: Buffer): bigint {
  return koffi.address(buffer);
}

/** Inflates one gzip member after another. isal_inflate(), igzip_lib.h */
export class IsalInflate {
  readonly #state = memory(inflateState.size);
  readonly #isal: Isal;

  /** Call only when {@link isalAvailable}. */
  constructor() {
    const found = isal();
    if (!found) throw new Error('libisal.so.2 is not installed');
    this.#isal = found;
    found.inflateInit(this.#state);
    this.#state.writeUInt32LE(gzipFormat, inflateState.crc);
  }

  /** Gets ready for another member. */
  reset(): void {
    this.#isal.inflateReset(this.#state);
    this.#state.writeUInt32LE(gzipFormat, inflateState.crc);
  }

  /** One step. @returns undefined when the data is damaged. */
  step(input: Buffer, output: Buffer): CodecStep | undefined {
    const state = this.#state;
    if (input.length > 0) state.writeBigUInt64LE(address(input), inflateState.nextIn);
    state.writeUInt32LE(input.length, inflateState.availIn);
    state.writeBigUInt64LE(address(output), inflateState.nextOut);
    state.writeUInt32LE(output.length, inflateState.availOut);
    if (this.#isal.inflate(state) < 0) return undefined;
    return {
      consumed: input.length - state.readUInt32LE(inflateState.availIn),
      produced: output.length - state.readUInt32LE(inflateState.availOut),
      ended: state.readUInt32LE(inflateState.block) === blockFinish,
    };
  }
}

/** Writes one gzip member at ISA-L's level 1. isal_deflate(), igzip_lib.h */
export class IsalDeflate {
  readonly #state = memory(deflateState.size);
  readonly #levelBuffer = memory(levelOneBuffer);
  readonly #isal: Isal;

  /** Call only when {@link isalAvailable}. */
  constructor() {
    const found = isal();
    if (!found) throw new Error('libisal.so.2 is not installed');
    this.#isal = found;
    const state = this.#state;
    found.deflateInit(state);
    state.writeUInt32LE(1, deflateState.level);
    state.writeUInt32LE(levelOneBuffer, deflateState.levelBufferSize);
    state.writeBigUInt64LE(address(this.#levelBuffer), deflateState.levelBuffer);
    state.writeUInt16LE(gzipFormat, deflateState.gzip);
  }

  /** One step; `last` says that no input follows this one. */
  step(input: Buffer, last: boolean, output: Buffer): CodecStep {
    const state = this.#state;
    if (input.length > 0) state.writeBigUInt64LE(address(input), deflateState.nextIn);
    state.writeUInt32LE(input.length, deflateState.availIn);
    state.writeUInt16LE(last ? 1 : 0, deflateState.endOfStream);
    state.writeBigUInt64LE(address(output), deflateState.nextOut);
    state.writeUInt32LE(output.length, deflateState.availOut);
    const code = this.#isal.deflate(state);
    if (code !== 0) throw new Error(`isal_deflate: ${code}`);
    return {
      consumed: input.length - state.readUInt32LE(deflateState.availIn),
      produced: output.length - state.readUInt32LE(deflateState.availOut),
      ended: state.readUInt32LE(deflateState.state) === streamEnd,
    };
  }
}
