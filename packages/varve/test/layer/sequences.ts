import { lutimesSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { performOperations } from '../../src/layer/testing/perform-operations.ts';
import { type Operation, Sequence, type SequenceOptions } from '../../src/layer/testing/random-operations.ts';
import { RandomSource } from '../../src/layer/testing/random-source.ts';

/** Sequences that stand beside each other in one tree, so that one mount and one run of umoci serve them all. */
export class Sequences {
  readonly layerCount: number;
  /** For each sequence, its steps by layer. */
  readonly #steps: readonly (readonly (readonly Operation[])[])[];

  /** @param count how many; with `seed` and `options` it decides everything. */
  constructor(seed: number, count: number, options: SequenceOptions) {
    const random = new RandomSource(seed);
    const layerCount = 1 + random.below(4);
    this.layerCount = layerCount;
    this.#steps = Array.from({ length: count }, () => {
      const sequence = new Sequence(random, options);
      return Array.from({ length: layerCount }, (_, layer) =>
        sequence.nextLayer((layer === 0 ? 30 : 8) + random.below(20)),
      );
    });
  }

  /** Does all steps of one layer below a folder that holds the layers before it. */
  perform(root: string, layer: number): void {
    for (const [index, layers] of this.#steps.entries()) {
      const own = join(root, `s${index}`);
      if (layer === 0) {
        mkdirSync(own);
        lutimesSync(own, 1, 1);
      }
      performOperations(own, layers[layer] ?? []);
    }
  }

  /** The steps of one sequence as text, to look at a failure. */
  describe(index: number): string {
    return (this.#steps[index] ?? [])
      .flatMap((operations, layer) =>
        operations.map(({ kind, path, to, value, time }) =>
          [`layer ${layer}:`, kind, path, to ?? '', value, time].join(' '),
        ),
      )
      .join('\n');
  }
}
