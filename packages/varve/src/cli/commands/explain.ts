import { formatBytes, shortId } from '../../base/index.ts';
import type { PathExplanation, WasteLedger } from '../../explain/index.ts';
import type { Command } from '../command.ts';
import type { Flag } from '../flags.ts';
import { formatTable } from '../output/table.ts';

const json: Flag = { name: 'json', type: 'boolean', description: 'Print the data behind the text' };

/** A layer as the engine sends it. */
interface ImageLayer {
  readonly index: number;
  readonly instruction?: string;
  readonly diffId: string;
  readonly chainId: string;
  readonly blob: { readonly digest: string; readonly size: number };
  readonly size: number;
  readonly sharedWith: readonly string[];
}

const explain: Command = {
  path: ['explain'],
  group: 'explain',
  summary: 'Say where a file of an image comes from and why, or why an image is as big as it is',
  description:
    'With a path: the look-up from the top layer down, who wins, what hides what, which instruction did it, how many bytes are dead below and what a write would cost. Without one: where every byte of the image goes.',
  usage: '[OPTIONS] IMAGE [PATH]',
  arity: { min: 1, max: 2 },
  flags: [json],
  examples: [
    { command: 'varve explain app /etc/passwd', does: 'Which layer it comes from' },
    { command: 'varve explain app', does: 'What the image wastes, to the byte' },
  ],
  completes: ['image', 'none'],
  run: async (context, { flags, arguments: [name = '', path] }) => {
    const engine = await context.engine();
    const options = { signal: context.signal };
    // Loaded only here: other commands start faster without it.
    const { renderLedger, renderPath } = await import('../../explain/index.ts');
    if (path === undefined) {
      const ledger = await engine.images.explain<WasteLedger>(name, undefined, options);
      context.terminal.print(flags.boolean('json') ? JSON.stringify(ledger, null, 2) : renderLedger(ledger));
      return;
    }
    const explanation = await engine.images.explain<PathExplanation>(name, path, options);
    context.terminal.print(
      flags.boolean('json') ? JSON.stringify(explanation, null, 2) : renderPath(explanation),
    );
  },
};

const layers: Command = {
  path: ['layers'],
  group: 'explain',
  summary: "List an image's layers, with the images that share them",
  usage: '[OPTIONS] IMAGE',
  arity: { min: 1, max: 1 },
  flags: [json, { name: 'no-trunc', type: 'boolean', description: "Don't shorten output" }],
  examples: [{ command: 'varve layers app', does: 'The stack, top layer first' }],
  completes: ['image'],
  run: async (context, { flags, arguments: [name = ''] }) => {
    const list = await (await context.engine()).images.layers<ImageLayer>(name);
    if (flags.boolean('json')) {
      context.terminal.print(JSON.stringify(list, null, 2));
      return;
    }
    const full = flags.boolean('no-trunc');
    const id = (digest: string): string => (full ? digest : shortId(digest));
    const text = (value: string): string => {
      const line = value.replaceAll(/\s+/g, ' ').trim();
      return full || line.length <= 50 ? line : `${line.slice(0, 49)}…`;
    };
    const rows = list
      .toReversed()
      .map((layer) => [
        String(layer.index + 1),
        id(layer.diffId),
        id(layer.chainId),
        formatBytes(layer.size),
        formatBytes(layer.blob.size),
        text(layer.instruction ?? '(not told by the history)'),
        layer.sharedWith.join(', '),
      ]);
    for (const line of formatTable(
      ['#', 'DIFFID', 'CHAINID', 'FILES', 'BLOB', 'MADE BY', 'SHARED WITH'],
      rows,
    ))
      context.terminal.print(line);
  },
};

export const explainCommands: readonly Command[] = [explain, layers];
