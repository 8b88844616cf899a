import type { Readable, Writable } from 'node:stream';
import type { DetachScanner } from './detach-keys.ts';

/** Resolves when a stream takes more, or is gone. */
export function drained(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done);
      stream.off('close', done);
      stream.off('error', done);
      resolve();
    };
    stream.on('drain', done);
    stream.on('close', done);
    stream.on('error', done);
  });
}

/**
 * Hands what a client sends on to a container's stdin, with back-pressure. The client's end of input ends stdin too;
 * output goes on. With a scanner, the detach keys end it.
 */
export async function pumpInput(
  from: Readable,
  to: Writable | undefined,
  options: { readonly scanner?: DetachScanner; readonly onDetach?: () => void } = {},
): Promise<void> {
  try {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      const scanned = options.scanner?.scan(chunk) ?? { pass: chunk, detached: false };
      if (to && !to.destroyed && scanned.pass.length > 0 && !to.write(scanned.pass)) await drained(to);
      if (scanned.detached) {
        options.onDetach?.();
        return;
      }
    }
    to?.end();
  } catch {
    // The client vanished: its connection's `closed` signal tells the rest.
  }
}
