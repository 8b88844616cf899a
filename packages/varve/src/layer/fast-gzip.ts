import type { FastGzip } from './compress/codecs.ts';

let loaded: Promise<FastGzip | undefined> | undefined;

async function load(): Promise<FastGzip | undefined> {
  try {
    // Only when needed: `linux` loads native libraries, and exists on Linux alone.
    const { IsalDeflate, IsalInflate, isalAvailable } = await import('../linux/index.ts');
    return isalAvailable()
      ? { inflate: () => new IsalInflate(), deflate: () => new IsalDeflate() }
      : undefined;
  } catch {
    return undefined;
  }
}

/** ISA-L where it can be had, for code that must run everywhere. */
export function loadFastGzip(): Promise<FastGzip | undefined> {
  loaded ??= load();
  return loaded;
}
