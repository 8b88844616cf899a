import { VarveError } from '../../base/index.ts';

/**
 * The synchronous face that Node's zlib streams have inside (their own `gunzipSync` uses it): one call fills one
 * output buffer, so memory stays bounded and nothing goes through the event loop. Thousands of awaits cost more than
 * the inflating itself.
 */
interface Handle {
  writeSync(
    flush: number,
    input: Uint8Array,
    inputOffset: number,
    inputLength: number,
    output: Uint8Array,
    outputOffset: number,
    outputLength: number,
  ): void;
  onerror: (message: string, errno: number, code: string) => void;
  close(): void;
}

interface ZlibStream {
  readonly _handle: Handle;
  readonly _writeState: Uint32Array;
}

/** What the codec reports instead of throwing, since its caller knows what was being read. */
export interface ZlibFailure {
  readonly code: string;
  readonly message: string;
}

/** One zlib or zstd stream of Node, driven synchronously. */
export class ZlibHandle {
  readonly #handle: Handle;
  readonly #state: Uint32Array;
  #failure: ZlibFailure | undefined;

  /** @param stream a new stream of node:zlib that nothing else uses. */
  constructor(stream: unknown) {
    const { _handle: handle, _writeState: state } = stream as ZlibStream;
    if (typeof handle?.writeSync !== 'function' || !(state instanceof Uint32Array)) {
      throw new VarveError('internal', 'ZLIB_UNSUPPORTED', 'this Node’s zlib has no synchronous face', {
        hint: 'use the pinned Node',
      });
    }
    this.#handle = handle;
    this.#state = state;
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- a handle of Node's binding is no EventTarget
    handle.onerror = (message, _errno, code) => {
      this.#failure = { code, message };
    };
  }

  get failure(): ZlibFailure | undefined {
    return this.#failure;
  }

  /** One step. @returns bytes taken and made; on failure {@link ZlibHandle.failure} is set. */
  step(flush: number, input: Uint8Array, output: Uint8Array): { consumed: number; produced: number } {
    this.#handle.writeSync(flush, input, 0, input.length, output, 0, output.length);
    const [spare = 0, left = 0] = this.#state;
    return { consumed: input.length - left, produced: output.length - spare };
  }

  close(): void {
    this.#handle.close();
  }
}
