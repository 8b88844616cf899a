import { VarveError } from '../../base/index.ts';
import { templateFunctions } from './template-functions.ts';
import { type Expression, type Node, parseTemplate } from './template-parser.ts';
import { isEmpty, isMap, mayLack, printValue } from './template-values.ts';

/** A parsed Go template, to be run on many values. */
export interface Template {
  (value: unknown): string;
  /** Fields named at the top, for a table's header. */
  readonly fields: readonly string[];
}

type Scope = Readonly<Record<string, unknown>>;

/** What a template does with a member that is not there. */
export interface TemplateOptions {
  /** Error of a struct's missing member; without it `<no value>` is printed. */
  readonly missing?: (name: string, path: string) => string;
}

function execution(message: string): VarveError {
  return new VarveError('invalid', 'TEMPLATE_FIELD', message);
}

function lookUp(
  value: unknown,
  path: readonly string[],
  options: TemplateOptions,
  values: readonly unknown[] = [],
): unknown {
  let current = value;
  let holder: string | undefined;
  for (const name of path) {
    if (current === undefined || current === null) {
      if (options.missing && holder !== undefined)
        throw execution(options.missing(holder, `.${path.join('.')}`));
      return undefined;
    }
    if (typeof current !== 'object') {
      throw execution(
        `template parsing error: template: :1: executing "" at <.${path.join('.')}>: can't evaluate field ${name} in type ${typeof current}`,
      );
    }
    const record = current as Record<string, unknown>;
    const key = Object.hasOwn(record, name)
      ? name
      : Object.keys(record).find((other) => other.toLowerCase() === name.toLowerCase());
    if (key === undefined && options.missing && !isMap(holder, record) && !mayLack(name))
      throw execution(options.missing(name, `.${path.join('.')}`));
    const found = key === undefined ? undefined : record[key];
    current = typeof found === 'function' ? (found as TemplateMethod)(...values) : found;
    holder = name;
  }
  return current;
}

/** A member of a row that takes arguments. */
type TemplateMethod = (...values: readonly unknown[]) => unknown;

function evaluate(
  expression: Expression,
  dot: unknown,
  scope: Scope,
  options: TemplateOptions,
  piped?: { readonly value: unknown },
): unknown {
  switch (expression.kind) {
    case 'literal':
      return expression.value;
    case 'field':
      return lookUp(
        expression.root === '.' ? dot : scope[expression.root],
        expression.path,
        options,
        expression.arguments?.map((argument) => evaluate(argument, dot, scope, options)),
      );
    case 'access':
      return lookUp(evaluate(expression.of, dot, scope, options), expression.path, options);
    case 'pipe': {
      let result: { readonly value: unknown } | undefined;
      for (const stage of expression.stages) result = { value: evaluate(stage, dot, scope, options, result) };
      return result?.value;
    }
    case 'call': {
      const call = templateFunctions[expression.name];
      if (!call) {
        throw new VarveError(
          'invalid',
          'TEMPLATE_SYNTAX',
          `template parsing error: template: :1: function "${expression.name}" not defined`,
        );
      }
      const values = expression.arguments.map((argument) => evaluate(argument, dot, scope, options));
      return call(...values, ...(piped ? [piped.value] : []));
    }
    default:
      throw new Error('unreachable');
  }
}

/** Name of the member that an expression ends in. */
function nameOf(expression: Expression): string | undefined {
  return expression.kind === 'field' || expression.kind === 'access' ? expression.path.at(-1) : undefined;
}

function run(nodes: readonly Node[], dot: unknown, scope: Scope, options: TemplateOptions): string {
  let output = '';
  let names = scope;
  for (const node of nodes) {
    switch (node.kind) {
      case 'text':
        output += node.text;
        break;
      case 'print':
        output += printValue(evaluate(node.value, dot, names, options), nameOf(node.value));
        break;
      case 'set':
        names = { ...names, [`$${node.name}`]: evaluate(node.value, dot, names, options) };
        break;
      case 'if':
        output += run(
          isEmpty(evaluate(node.test, dot, names, options)) ? node.otherwise : node.then,
          dot,
          names,
          options,
        );
        break;
      case 'with': {
        const value = evaluate(node.test, dot, names, options);
        output += isEmpty(value)
          ? run(node.otherwise, dot, names, options)
          : run(node.then, value, names, options);
        break;
      }
      case 'range': {
        const over = evaluate(node.over, dot, names, options);
        const entries: (readonly [unknown, unknown])[] = Array.isArray(over)
          ? [...over.entries()]
          : Object.entries(over ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
        if (entries.length === 0) output += run(node.otherwise, dot, names, options);
        for (const [key, item] of entries) {
          const inner = {
            ...names,
            ...(node.key === undefined ? {} : { [`$${node.key}`]: key }),
            ...(node.item === undefined ? {} : { [`$${node.item}`]: item }),
          };
          output += run(node.body, item, inner, options);
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
export function compileTemplate(text: string, options: TemplateOptions = {}): Template {
  const nodes = parseTemplate(text.replaceAll('\\t', '\t').replaceAll('\\n', '\n'));
  const template = (value: unknown): string => run(nodes, value, { $: value }, options);
  return Object.assign(template, { fields: topFields(nodes) });
}
