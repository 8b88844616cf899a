import { Extractor } from '../apply/extractor.ts';
import { detectCompression } from '../compress/detect.ts';
import { createInflater, type Inflater } from '../compress/inflate.ts';
import { checkExpansion } from '../limits.ts';
import { type PackTotals, tarChunks } from '../pack/tar-chunks.ts';
import { treeItems } from '../pack/tree-items.ts';
import { TarReader } from '../tar/reader.ts';
import { fastGzip } from './fast.ts';
import type { ExtractResult, SessionStart } from './stream-protocol.ts';

/** One stream's state in the thread. */
export interface Session {
  chunk(data: Uint8Array): void;
  end(): unknown;
  pull(): Uint8Array | undefined;
  close(): void;
}

export function startSession(start: SessionStart): Session {
  return start.kind === 'extract' ? new ExtractSession(start) : new PackSession(start);
}

/** Enough to know a compression by. */
const headSize = 6;

class ExtractSession implements Session {
  readonly #start: Extract<SessionStart, { kind: 'extract' }>;
  readonly #extractor: Extractor;
  readonly #reader: TarReader;
  #inflater: Inflater | undefined;
  #head: Buffer = Buffer.alloc(0);
  #input = 0;
  #output = 0;

  constructor(start: Extract<SessionStart, { kind: 'extract' }>) {
    this.#start = start;
    this.#extractor = new Extractor(start.root, start.options);
    this.#reader = new TarReader(this.#extractor, { maxEntries: start.limits.maxEntries });
  }

  chunk(data: Uint8Array): void {
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    this.#input += bytes.length;
    if (this.#inflater) {
      this.#inflate(bytes, this.#inflater);
      return;
    }
    this.#head = Buffer.concat([this.#head, bytes]);
    if (this.#head.length >= headSize) this.#inflate(this.#head, this.#open());
  }

  #open(): Inflater {
    const { compression } = this.#start;
    this.#inflater = createInflater(
      compression === 'auto' ? detectCompression(this.#head) : compression,
      fastGzip,
    );
    return this.#inflater;
  }

  #inflate(data: Buffer, inflater: Inflater): void {
    inflater.push(data, (output) => {
      this.#output += output.length;
      checkExpansion(this.#input, this.#output, this.#start.limits);
      this.#reader.feed(output);
    });
  }

  end(): ExtractResult {
    if (!this.#inflater) this.#inflate(this.#head, this.#open());
    this.#inflater?.finish();
    this.#reader.finish();
    this.#extractor.finish();
    const { size, hashes } = this.#extractor;
    return { size, entries: this.#reader.entries, hashes };
  }

  pull(): undefined {
    return undefined;
  }

  close(): void {
    this.#inflater?.close();
    this.#extractor[Symbol.dispose]();
  }
}

class PackSession implements Session {
  readonly #chunks: Generator<Buffer, void, void>;

  constructor(start: Extract<SessionStart, { kind: 'pack' }>) {
    const totals: PackTotals = { entries: 0, size: 0 };
    this.#chunks = tarChunks(treeItems(start.root, start.sources), totals, start.options);
  }

  chunk(): void {}

  end(): undefined {
    return undefined;
  }

  pull(): Uint8Array | undefined {
    const next = this.#chunks.next();
    // A copy that can be given away: the generator writes its next chunk into the same memory.
    return next.done ? undefined : new Uint8Array(next.value);
  }

  close(): void {
    this.#chunks.return();
  }
}
