import { VarveError } from '../../base/index.ts';
import { templateFunctions } from './template-functions.ts';
import { type Expression, type Node, parseTemplate } from './template-parser.ts';
import { isEmpty, printValue } from './template-values.ts';

/** A parsed Go template, to be run on many values. */
export interface Template {
  (value: unknown): string;
  /** Fields named at the top, for a table's header. */
  readonly fields: readonly string[];
}

type Scope = Readonly<Record<string, unknown>>;

function lookUp(value: unknown, path: readonly string[]): unknown {
  let current = value;
  for (const name of path) {
    if (current === null || current === undefined) return undefined;
    if (typeof current !== 'object') {
      throw new VarveError(
        'invalid',
        'TEMPLATE_FIELD',
        `template: :1: can't evaluate field ${name} in type ${typeof current}`,
      );
    }
    const record = current as Record<string, unknown>;
    const found = Object.hasOwn(record, name)
      ? record[name]
      : Object.entries(record).find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1];
    current = typeof found === 'function' ? (found as () => unknown).call(current) : found;
  }
  return current;
}

function evaluate(
  expression: Expression,
  dot: unknown,
  scope: Scope,
  piped?: { readonly value: unknown },
): unknown {
  switch (expression.kind) {
    case 'literal':
      return expression.value;
    case 'field':
      return lookUp(expression.root === '.' ? dot : scope[expression.root], expression.path);
    case 'access':
      return lookUp(evaluate(expression.of, dot, scope), expression.path);
    case 'pipe': {
      let result: { readonly value: unknown } | undefined;
      for (const stage of expression.stages) result = { value: evaluate(stage, dot, scope, result) };
      return result?.value;
    }
    case 'call': {
      const call = templateFunctions[expression.name];
      if (!call) {
        throw new VarveError(
          'invalid',
          'TEMPLATE_INVALID',
          `template parsing error: template: :1: function "${expression.name}" not defined`,
        );
      }
      const values = expression.arguments.map((argument) => evaluate(argument, dot, scope));
      return call(...values, ...(piped ? [piped.value] : []));
    }
    default:
      throw new Error('unreachable');
  }
}

function run(nodes: readonly Node[], dot: unknown, scope: Scope): string {
  let output = '';
  let names = scope;
  for (const node of nodes) {
    switch (node.kind) {
      case 'text':
        output += node.text;
        break;
      case 'print':
        output += printValue(evaluate(node.value, dot, names));
        break;
      case 'set':
        names = { ...names, [`$${node.name}`]: evaluate(node.value, dot, names) };
        break;
      case 'if':
        output += run(isEmpty(evaluate(node.test, dot, names)) ? node.otherwise : node.then, dot, names);
        break;
      case 'with': {
        const value = evaluate(node.test, dot, names);
        output += isEmpty(value) ? run(node.otherwise, dot, names) : run(node.then, value, names);
        break;
      }
      case 'range': {
        const over = evaluate(node.over, dot, names);
        const entries: (readonly [unknown, unknown])[] = Array.isArray(over)
          ? [...over.entries()]
          : Object.entries(over ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
        if (entries.length === 0) output += run(node.otherwise, dot, names);
        for (const [key, item] of entries) {
          const inner = {
            ...names,
            ...(node.key === undefined ? {} : { [`$${node.key}`]: key }),
            ...(node.item === undefined ? {} : { [`$${node.item}`]: item }),
          };
          output += run(node.body, item, inner);
        }
        break;
      }
      default:
        throw new Error('unreachable');
    }
  }
  return output;
}

function topFields(nodes: readonly Node[]): string[] {
  const fields: string[] = [];
  const visit = (expression: Expression): void => {
    if (expression.kind === 'field' && expression.root === '.' && expression.path[0] !== undefined)
      fields.push(expression.path[0]);
    if (expression.kind === 'call') expression.arguments.forEach(visit);
    if (expression.kind === 'pipe') expression.stages.forEach(visit);
  };
  for (const node of nodes) if (node.kind === 'print') visit(node.value);
  return fields;
}

/** Compiles a Go template for `--format`. `\t` and `\n` written with a backslash are taken as tab and line end, as Docker does. */
export function compileTemplate(text: string): Template {
  const nodes = parseTemplate(text.replaceAll('\\t', '\t').replaceAll('\\n', '\n'));
  const template = (value: unknown): string => run(nodes, value, { $: value });
  return Object.assign(template, { fields: topFields(nodes) });
}
