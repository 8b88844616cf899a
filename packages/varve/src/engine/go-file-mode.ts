import { fileType } from '../linux/index.ts';

/** Type bits of Go's os.FileMode, which Docker's archive stat carries instead of st_mode (Go io/fs). */
const goTypes: Readonly<Record<number, number>> = {
  [fileType.directory]: 2 ** 31,
  [fileType.symlink]: 2 ** 27,
  [fileType.blockDevice]: 2 ** 26,
  [fileType.characterDevice]: 2 ** 26 + 2 ** 21,
  [fileType.fifo]: 2 ** 25,
  [fileType.socket]: 2 ** 24,
};
const goBits = [
  [0o4000, 2 ** 23],
  [0o2000, 2 ** 22],
  [0o1000, 2 ** 20],
] as const;

/** st_mode as Go's os.FileMode. */
export function goFileMode(mode: number): number {
  const special = goBits.reduce((sum, [bit, go]) => ((mode & bit) === 0 ? sum : sum + go), 0);
  return (goTypes[mode & fileType.mask] ?? 0) + special + (mode & 0o777);
}
