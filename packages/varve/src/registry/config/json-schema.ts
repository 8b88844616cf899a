import { z } from 'zod';
import { configSchema } from './schema.ts';

/** JSON Schema (2020-12) of a configuration file as it is written, for editors and other checkers. */
export function configJsonSchema(): Readonly<Record<string, unknown>> {
  return {
    title: 'Configuration of varve registry',
    ...z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' }),
  };
}

/** One key of the configuration, for its table. */
export interface ConfigKey {
  /** Dotted; `[]` stands for any item and `*` for any name. */
  readonly path: string;
  /** JSON of the default; undefined when there is none. */
  readonly fallback: string | undefined;
  readonly description: string;
}

interface Node {
  readonly properties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
  readonly additionalProperties?: Node | boolean;
  readonly anyOf?: readonly Node[];
  readonly default?: unknown;
  readonly description?: string;
}

/** The keys of a configuration in their order. */
export function configKeys(): ConfigKey[] {
  const keys: ConfigKey[] = [];
  const walk = (node: Node, path: string): void => {
    const children = Object.entries(node.properties ?? {});
    if (path !== '' && (children.length === 0 || node.description !== undefined)) {
      const fallback = node.default === undefined ? undefined : JSON.stringify(node.default);
      if (node.description !== undefined || children.length === 0) {
        keys.push({ path, fallback, description: node.description ?? '' });
      }
    }
    for (const [name, child] of children) walk(child, path === '' ? name : `${path}.${name}`);
    if (node.items?.properties) walk(node.items, `${path}[]`);
  };
  walk(configJsonSchema(), '');
  return keys;
}
