import { type Engine, EngineError } from '@varve/client';
import type { Command } from '../command.ts';
import { anyKind, printInspect } from '../output/inspect.ts';
import { formatFlag } from '../output/list.ts';

/** Asks each kind of object in Docker's order for the name. */
async function inspectAny(engine: Engine, name: string, size: boolean): Promise<unknown> {
  const kinds: readonly (() => Promise<unknown>)[] = [
    () => engine.containers.inspect(name, { size }),
    () => engine.images.inspect(name),
    () => engine.networks.inspect(name),
    () => engine.volumes.inspect(name),
  ];
  for (const ask of kinds) {
    try {
      return await ask();
    } catch (error) {
      if (!EngineError.is(error, 404) && !EngineError.is(error, 400)) throw error;
    }
  }
  throw new EngineError(404, `No such object: ${name}`, anyKind);
}

const flags = [
  { ...formatFlag, short: 'f' },
  { name: 'size', short: 's', type: 'boolean', description: 'Show sizes of containers' },
] as const;

export const inspectCommands: readonly Command[] = [
  {
    path: ['inspect'],
    group: 'common',
    summary: 'Show all about containers, images, networks or volumes',
    usage: '[OPTIONS] NAME|ID [NAME|ID...]',
    arity: { min: 1 },
    flags: [
      ...flags,
      {
        name: 'type',
        type: 'string',
        value: 'kind',
        choices: ['container', 'image', 'network', 'volume'],
        description: 'Look only for this kind',
      },
    ],
    examples: [{ command: "varve inspect -f '{{.State.Status}}' web", does: 'One part of it' }],
    completes: ['container'],
    run: async (context, parsed) => {
      const engine = await context.engine();
      const size = parsed.flags.boolean('size');
      const ask: Readonly<Record<string, (name: string) => Promise<unknown>>> = {
        container: (name) => engine.containers.inspect(name, { size }),
        image: (name) => engine.images.inspect(name),
        network: (name) => engine.networks.inspect(name),
        volume: (name) => engine.volumes.inspect(name),
      };
      return printInspect(
        context.terminal,
        parsed,
        ask[parsed.flags.string('type') ?? ''] ?? ((name) => inspectAny(engine, name, size)),
      );
    },
  },
  {
    path: ['container', 'inspect'],
    group: 'container',
    summary: 'Show all about containers',
    usage: '[OPTIONS] CONTAINER [CONTAINER...]',
    arity: { min: 1 },
    flags,
    examples: [{ command: 'varve container inspect web', does: 'As JSON' }],
    completes: ['container'],
    run: async (context, parsed) => {
      const engine = await context.engine();
      return printInspect(context.terminal, parsed, (name) =>
        engine.containers.inspect(name, { size: parsed.flags.boolean('size') }),
      );
    },
  },
  {
    path: ['image', 'inspect'],
    group: 'image',
    summary: 'Show all about images',
    usage: '[OPTIONS] IMAGE [IMAGE...]',
    arity: { min: 1 },
    flags: [flags[0]],
    examples: [
      { command: "varve image inspect -f '{{json .RootFS.Layers}}' app", does: 'The DiffIDs of its layers' },
    ],
    completes: ['image'],
    run: async (context, parsed) => {
      const engine = await context.engine();
      return printInspect(context.terminal, parsed, (name) => engine.images.inspect(name));
    },
  },
];
