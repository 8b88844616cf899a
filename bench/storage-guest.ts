/** The part of the storage benchmark that a kernel with a device mapper is booted for. */
import { whyNoGuest } from '../packages/varve/test/guest/guest-parts.ts';
import { Guest } from '../packages/varve/test/guest/run-in-guest.ts';
import type { Figures } from './storage-cells.ts';
import { reasonOf } from './storage-parts.ts';

/** A call of {@link Figures} in the guest, as a line of its serial port. */
export type FigureLine = {
  readonly [Method in keyof Figures]: {
    readonly type: 'figure';
    readonly method: Method;
    readonly words: Parameters<Figures[Method]>;
  };
}[keyof Figures];

/** Boots the guest, which measures devicemapper beside overlay2 and vfs there, and takes its figures. */
export async function measureGuest(figures: Figures, limitMs: number): Promise<void> {
  const reason = whyNoGuest();
  if (reason !== undefined) return figures.miss('guest', 'devicemapper', reason);
  const file = new URL('./storage.guest.ts', import.meta.url);
  const modules = ['loop', 'overlay', 'dm-thin-pool'];
  try {
    await using guest = new Guest(file, { modules, memory: '4G', limitMs });
    for await (const line of guest.results<FigureLine>()) {
      if (line.type === 'figure') take(figures, line);
      if (line.type === 'fail') figures.miss(line.name, 'devicemapper', reasonOf(line.error));
    }
    await guest.ended();
  } catch (error) {
    figures.miss('guest', 'devicemapper', reasonOf(error));
  }
}

function take(figures: Figures, line: FigureLine): void {
  if (line.method === 'add') figures.add(...line.words);
  else if (line.method === 'took') figures.took(...line.words);
  else if (line.method === 'cut') figures.cut(...line.words);
  else figures.miss(...line.words);
}
