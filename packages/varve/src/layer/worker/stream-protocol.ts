import type { ExtractOptions } from '../apply/extractor.ts';
import type { LayerLimits } from '../limits.ts';
import type { PackOptions } from '../pack/tar-chunks.ts';
import type { PackSource } from '../pack/tree-items.ts';
import type { Compression } from '../types.ts';
import type { PlainError } from './protocol.ts';

/** What an extraction wrote. */
export interface ExtractResult {
  /** Bytes of file content, hard links once. */
  readonly size: number;
  readonly entries: number;
  /** With `hashFiles`: SHA-256 (hex) of files by `fileIdentity`; files with holes and those past the limit are left out. */
  readonly hashes: ReadonlyMap<string, string>;
}

/** What starts a session: work whose bytes come or go through the main thread piece by piece. */
export type SessionStart =
  | {
      readonly kind: 'extract';
      readonly root: string;
      readonly options: ExtractOptions;
      readonly compression: Compression | 'auto';
      readonly limits: LayerLimits;
    }
  | {
      readonly kind: 'pack';
      readonly root: string;
      readonly sources: readonly PackSource[];
      readonly options: PackOptions;
    };

/** To the thread. Every message but `cancel` gets one reply, in order; `cancel` gets none and ends the session. */
export type SessionRequest =
  | { readonly id: number; readonly type: 'start'; readonly start: SessionStart }
  | { readonly id: number; readonly type: 'chunk'; readonly data: Uint8Array }
  | { readonly id: number; readonly type: 'end' }
  | { readonly id: number; readonly type: 'pull' }
  | { readonly id: number; readonly type: 'cancel' };

/** To the thread: of a session, or word that there will be no more. */
export type StreamMessage = SessionRequest | 'end';

/**
 * From the thread. `value` is the bytes of a pull (undefined at the end), the memory of a chunk for the next one, or the
 * result of an end.
 */
export type SessionReply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: PlainError };
