import { median } from './harness.ts';
import type { Load } from './registry-load.ts';

/** One case that is measured on several registries. */
export interface Comparison<T> {
  readonly name: string;
  /** How many times the other registry's requests a second are wanted. */
  readonly goal: number | undefined;
  readonly run: (subject: T, milliseconds: number) => Promise<Load>;
}

/** The rounds of one case, ours and the other registry's. */
export interface Compared {
  readonly name: string;
  readonly goal: number | undefined;
  readonly own: readonly Load[];
  readonly peer: readonly Load[];
}

interface Rounds {
  readonly count: number;
  readonly milliseconds: number;
}

/** Requests a second. */
export function rate({ requests, seconds }: Load): number {
  return requests / seconds;
}

/** Requests a second of the server's processor time: what it does not share with the load, or with anybody else. */
function ratePerProcessor({ requests, serverSeconds }: Load): number {
  return requests / Math.max(serverSeconds, 0.01);
}

export function medianOf(loads: readonly Load[], figure: (load: Load) => number): number {
  return median(loads.map(figure));
}

/**
 * Measures every case on both in turn, so that a change of the machine's load meets both. Before its rounds each case has
 * half a round that does not count: a just-in-time compiler has its work then.
 */
export async function compare<T>(
  [own, peer]: readonly [T, T],
  cases: readonly Comparison<T>[],
  { count, milliseconds }: Rounds,
): Promise<Compared[]> {
  const compared: Compared[] = [];
  for (const { name, goal, run } of cases) {
    const loads: { readonly own: Load[]; readonly peer: Load[] } = { own: [], peer: [] };
    for (let round = -1; round < count; round++) {
      const length = round < 0 ? milliseconds / 2 : milliseconds;
      const pair = { own: await run(own, length), peer: await run(peer, length) };
      if (round < 0) continue;
      loads.own.push(pair.own);
      loads.peer.push(pair.peer);
    }
    const result = { name, goal, ...loads };
    compared.push(result);
    console.log(row(result));
  }
  return compared;
}

const line = (words: readonly string[]): string => `| ${words.join(' | ')} |`;

function row({ name, goal, own, peer }: Compared): string {
  const [ours, theirs] = [medianOf(own, rate), medianOf(peer, rate)];
  const [ourPer, theirPer] = [medianOf(own, ratePerProcessor), medianOf(peer, ratePerProcessor)];
  const range = (loads: readonly Load[]): string => {
    const rates = loads.map(rate);
    return `${Math.min(...rates).toFixed(0)}–${Math.max(...rates).toFixed(0)}`;
  };
  const ratio = ours / theirs;
  const verdict = goal === undefined ? '' : `≥ ${goal}${ratio < goal ? ', **not reached**' : ''}`;
  return line([
    name,
    ...[ours.toFixed(0), range(own), theirs.toFixed(0), range(peer), ratio.toFixed(2), verdict],
    ...[ourPer.toFixed(0), theirPer.toFixed(0), (ourPer / theirPer).toFixed(1)],
  ]);
}

/** A table of the medians. */
export function comparisonTable(compared: readonly Compared[]): string {
  const heads = [
    ...['case', 'varve /s', 'range', 'docker-registry /s', 'range', 'ratio', 'goal'],
    ...['varve / CPU s', 'docker-registry / CPU s', 'ratio'],
  ];
  return [
    line(heads),
    line(heads.map((head) => (head === 'case' || head === 'goal' ? '---' : '---:'))),
    ...compared.map(row),
  ].join('\n');
}
