import { background, declare } from './libc.ts';

const mallocTrim = declare<(pad: number) => number>('int malloc_trim(size_t pad)');

/** malloc_trim(3): gives freed memory of all arenas back to the kernel, on another thread: it takes some milliseconds. */
export async function trimHeap(): Promise<void> {
  await background(mallocTrim, 0);
}
