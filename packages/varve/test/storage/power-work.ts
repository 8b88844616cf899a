import { makeTar, type TestEntry } from '../../src/storage/testing/index.ts';

/** What is asked of a driver whose power will go; told before it begins and again when it is promised to be done. */
export interface PowerStep {
  readonly kind: 'apply' | 'prepare' | 'commit' | 'remove';
  /** Key of the snapshot; the new one's for a commit. */
  readonly key: string;
  readonly parent?: string;
  /** Decides what the snapshot adds to its parent. */
  readonly round: number;
}

export interface PowerReport {
  readonly when: 'begin' | 'done' | 'failed';
  readonly step: PowerStep;
  readonly error?: string;
}

/** Content by path of what a snapshot shows; null for a folder. */
export type Contents = ReadonlyMap<string, string | null>;

const files = 30;

/** Some file content that depends on the round. */
export function contentOf(round: number, index: number): string {
  return `round ${round}, file ${index}\n`.repeat(1 + ((round * 31 + index * 17) % 300));
}

/** The layer of a round: new files, some over those of the round before, and a whiteout of one of them. */
export function layerOf(round: number): Buffer {
  const entries: TestEntry[] = [{ name: 'dir/', type: '5' }];
  if (round > 0) entries.push({ name: `dir/.wh.only-${round - 1}` });
  for (let index = 0; index < files; index++) {
    entries.push({ name: `dir/file-${index}`, content: contentOf(round, index) });
  }
  entries.push({ name: `dir/only-${round}`, content: 'x' });
  return makeTar(entries);
}

/** Name of the file that a build step of a round writes. */
export const stepFile = (round: number, index: number): string => `dir/step-${round}-${index}`;
export const stepFiles = 5;

/** What a snapshot shows after a step. */
export function contentsAfter({ kind, round }: PowerStep, parent: Contents): Contents {
  const contents = new Map(parent);
  if (kind === 'apply') {
    contents.set('dir', null);
    contents.delete(`dir/only-${round - 1}`);
    for (let index = 0; index < files; index++) contents.set(`dir/file-${index}`, contentOf(round, index));
    contents.set(`dir/only-${round}`, 'x');
  }
  if (kind === 'commit') {
    for (let index = 0; index < stepFiles; index++)
      contents.set(stepFile(round, index), contentOf(round, index + 100));
  }
  return contents;
}
