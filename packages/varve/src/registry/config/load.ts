import { type Document, isMap, isNode, isPair, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import { VarveError } from '../../base/index.ts';
import { adviceOn } from './advice.ts';
import {
  configSchema,
  needlessKeys,
  type RegistryConfig,
  strictBlocks,
  unsupportedBlocks,
} from './schema.ts';

/** Something to tell about a configuration. */
export interface ConfigProblem {
  readonly severity: 'error' | 'warning';
  /** Dotted path of the key, empty for the document. */
  readonly path: string;
  readonly message: string;
  /** From 1; absent for a value that an environment variable gave. */
  readonly line?: number;
  readonly column?: number;
  /** The environment variable that gave the value. */
  readonly variable?: string;
}

export interface CheckedConfig {
  /** undefined when there are errors. */
  readonly config: RegistryConfig | undefined;
  readonly problems: readonly ConfigProblem[];
}

type Path = readonly (string | number)[];
type Tree = Record<string, unknown>;

// Where podman, skopeo and buildah find credentials; it is nothing of a registry's.
const foreignVariables: ReadonlySet<string> = new Set(['REGISTRY_AUTH_FILE']);

const maxConfigBytes = 1024 * 1024;

/**
 * Checks a configuration without starting anything.
 * @param text YAML; empty for none
 * @param environment `REGISTRY_HTTP_ADDR` and its like override `http.addr`; values are YAML. Other names are ignored.
 */
export function checkConfig(
  text: string,
  environment: Readonly<Record<string, string | undefined>> = {},
): CheckedConfig {
  if (text.length > maxConfigBytes) {
    return { config: undefined, problems: [{ severity: 'error', path: '', message: 'larger than 1 MiB' }] };
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const problems: ConfigProblem[] = document.errors.map((error) => {
    const { line, col } = lines.linePos(error.pos[0]);
    return { severity: 'error', path: '', message: error.message, line, column: col };
  });
  if (problems.length > 0) return { config: undefined, problems };
  const tree = toPlain(document) ?? {};
  if (!isTree(tree)) {
    return {
      config: undefined,
      problems: [{ severity: 'error', path: '', message: 'not a map of keys', line: 1, column: 1 }],
    };
  }
  const variables = overlay(tree, environment);
  const place = (path: Path): Partial<ConfigProblem> => {
    const variable = variables.get(path.join('.'));
    return variable === undefined ? position(document, lines, path) : { variable };
  };
  const config = validate(tree, (severity, path, message) => {
    problems.push({ severity, path: path.join('.'), message, ...place(path) });
  });
  return { config, problems };
}

/**
 * As {@link checkConfig}, for a start.
 * @throws VarveError `invalid` (`CONFIG_INVALID`) with every error and its position
 */
export function loadConfig(
  text: string,
  environment?: Readonly<Record<string, string | undefined>>,
): { readonly config: RegistryConfig; readonly warnings: readonly ConfigProblem[] } {
  const { config, problems } = checkConfig(text, environment);
  if (config) return { config, warnings: problems };
  const errors = problems.filter((problem) => problem.severity === 'error');
  throw new VarveError('invalid', 'CONFIG_INVALID', errors.map(formatProblem).join('\n'), {
    hint: '`varve registry check-config` checks a file without a start',
    data: { problems },
  });
}

/** One line: `3:5: http.addr: not an address …`. */
export function formatProblem(problem: ConfigProblem): string {
  const place = problem.variable ?? (problem.line === undefined ? '' : `${problem.line}:${problem.column}`);
  return [place, problem.path, problem.message].filter((part) => part !== '').join(': ');
}

function validate(
  tree: Tree,
  report: (severity: ConfigProblem['severity'], path: Path, message: string) => void,
): RegistryConfig | undefined {
  let failed = false;
  for (const [key, reason] of Object.entries(unsupportedBlocks)) {
    const path = key.split('.');
    if (!remove(tree, path)) continue;
    failed = true;
    report('error', path, reason);
  }
  for (const [key, reason] of Object.entries(needlessKeys)) {
    const path = key.split('.');
    if (remove(tree, path)) report('warning', path, `has no effect: ${reason}`);
  }
  let result = configSchema.safeParse(tree);
  const unknown = (result.error?.issues ?? []).flatMap((issue) =>
    issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...toPath(issue.path), key]) : [],
  );
  for (const path of unknown) {
    const strict = strictBlocks.some((block) => path.join('.').startsWith(`${block}.`));
    if (strict) {
      failed = true;
      report('error', path, 'unknown key');
    }
    if (remove(tree, path) && !strict) report('warning', path, 'unknown key, ignored');
  }
  if (unknown.length > 0) result = configSchema.safeParse(tree);
  for (const issue of result.error?.issues ?? []) report('error', toPath(issue.path), issue.message);
  if (failed || !result.data) return undefined;
  for (const { path, message } of adviceOn(result.data)) report('warning', path, message);
  return result.data;
}

/** Sets the values of the environment in the tree; returns which variable gave which path. */
function overlay(tree: Tree, environment: Readonly<Record<string, string | undefined>>): Map<string, string> {
  const given = new Map<string, string>();
  for (const [variable, text] of Object.entries(environment).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (!variable.startsWith('REGISTRY_') || foreignVariables.has(variable) || text === undefined) continue;
    const path = variable.slice('REGISTRY_'.length).toLowerCase().split('_');
    if (path.some((part) => part === '' || part === '__proto__')) continue;
    let parent = tree;
    for (const part of path.slice(0, -1)) {
      const child = Object.hasOwn(parent, part) ? parent[part] : undefined;
      const next: Tree = isTree(child) ? child : {};
      parent[part] = next;
      parent = next;
    }
    const value = parseDocument(text, { prettyErrors: false });
    parent[String(path.at(-1))] = value.errors.length > 0 ? text : (toPlain(value) ?? text);
    given.set(path.join('.'), variable);
  }
  return given;
}

/** The document as plain data; text that is no map when its aliases multiply beyond reason. */
function toPlain(document: Document): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch {
    return 'too many aliases';
  }
}

function remove(tree: Tree, path: Path): boolean {
  let parent: unknown = tree;
  for (const part of path.slice(0, -1)) {
    if (Array.isArray(parent)) parent = (parent as unknown[])[Number(part)];
    else parent = isTree(parent) ? parent[part] : undefined;
  }
  const last = String(path.at(-1));
  if (!isTree(parent) || !Object.hasOwn(parent, last)) return false;
  delete parent[last];
  return true;
}

/** Where a key stands; of one that is missing, where the nearest map above it does. */
function position(document: Document, lines: LineCounter, path: Path): { line: number; column: number } {
  let node: unknown = document.contents;
  let offset = document.contents?.range?.[0] ?? 0;
  for (const part of path) {
    if (isSeq(node) && typeof part === 'number') {
      node = node.items[part];
      if (isNode(node)) offset = node.range?.[0] ?? offset;
      continue;
    }
    if (!isMap(node)) break;
    const pair = node.items.find(
      (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(part),
    );
    if (!pair || !isScalar(pair.key)) break;
    offset = pair.key.range?.[0] ?? offset;
    node = pair.value;
  }
  const { line, col } = lines.linePos(offset);
  return { line, column: col };
}

function toPath(path: readonly PropertyKey[]): Path {
  return path.map((part) => (typeof part === 'number' ? part : String(part)));
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
