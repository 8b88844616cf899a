import { VarveError } from '../../base/index.ts';
import { templateFunctions } from './template-functions.ts';

/** A value inside an action. */
export type Expression =
  | {
      readonly kind: 'field';
      readonly path: readonly string[];
      readonly root: string;
      /** Of a method: `.Label "name"`. */
      readonly arguments?: readonly Expression[];
    }
  | { readonly kind: 'literal'; readonly value: unknown }
  | { readonly kind: 'call'; readonly name: string; readonly arguments: readonly Expression[] }
  | { readonly kind: 'access'; readonly of: Expression; readonly path: readonly string[] }
  | { readonly kind: 'pipe'; readonly stages: readonly Expression[] };

/** A piece of a template. */
export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print'; readonly value: Expression }
  | { readonly kind: 'set'; readonly name: string; readonly value: Expression }
  | {
      readonly kind: 'if' | 'with';
      readonly test: Expression;
      readonly then: readonly Node[];
      readonly otherwise: readonly Node[];
    }
  | {
      readonly kind: 'range';
      readonly over: Expression;
      readonly key?: string;
      readonly item?: string;
      readonly body: readonly Node[];
      readonly otherwise: readonly Node[];
    };

type Token = {
  readonly kind: 'word' | 'field' | 'string' | 'number' | 'variable' | 'mark';
  readonly text: string;
};

function fail(message: string): VarveError {
  return new VarveError('invalid', 'TEMPLATE_SYNTAX', `template parsing error: template: :1: ${message}`);
}

const tokenPattern =
  /\s*(?:(?<string>"(?:[^"\\]|\\.)*"|`[^`]*`)|(?<number>-?\d+(?:\.\d+)?)|(?<field>\.[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*|\.)|(?<variable>\$\w*(?:\.[A-Za-z_]\w*)*)|(?<word>[A-Za-z_]\w*)|(?<mark>:=|[|(),=]))/y;

function tokens(action: string): Token[] {
  const found: Token[] = [];
  tokenPattern.lastIndex = 0;
  for (let at = 0; action.slice(at).trim() !== ''; at = tokenPattern.lastIndex) {
    tokenPattern.lastIndex = at;
    const groups = tokenPattern.exec(action)?.groups;
    if (!groups) throw fail(`unexpected ${JSON.stringify(action.slice(at).trim()[0])} in operand`);
    const entry = Object.entries(groups).find(([, text]) => text !== undefined) as [Token['kind'], string];
    found.push({ kind: entry[0], text: entry[1] });
  }
  return found;
}

/** Reads pipelines of one action. */
class ActionParser {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(action: string) {
    this.#tokens = tokens(action);
  }

  get done(): boolean {
    return this.#at >= this.#tokens.length;
  }

  peek(): Token | undefined {
    return this.#tokens[this.#at];
  }

  take(text?: string): Token {
    const token = this.#tokens[this.#at++];
    if (!token || (text !== undefined && token.text !== text))
      throw fail(`unexpected ${token?.text ?? 'end'} in command`);
    return token;
  }

  /** `$k, $v :=` before a pipeline. */
  declarations(): string[] {
    const names: string[] = [];
    const end = this.#tokens.findIndex((token) => token.text === ':=' || token.text === '=');
    if (end === -1) return names;
    while (this.#at < end) {
      const token = this.take();
      if (token.kind === 'variable') names.push(token.text.slice(1));
      else if (token.text !== ',') throw fail(`unexpected ${token.text} in declaration`);
    }
    this.take();
    return names;
  }

  pipeline(): Expression {
    const stages = [this.#command()];
    while (this.peek()?.text === '|') {
      this.take();
      stages.push(this.#command());
    }
    return stages.length === 1 ? (stages[0] as Expression) : { kind: 'pipe', stages };
  }

  #command(): Expression {
    const first = this.peek();
    if (!first) throw fail('missing value for command');
    if (first.kind === 'word' && !['true', 'false', 'nil'].includes(first.text)) {
      this.take();
      if (!Object.hasOwn(templateFunctions, first.text)) throw fail(`function "${first.text}" not defined`);
      const list: Expression[] = [];
      while (!this.done && ![')', '|', ','].includes((this.peek() as Token).text)) list.push(this.#operand());
      return { kind: 'call', name: first.text, arguments: list };
    }
    const operand = this.#operand();
    if (operand.kind !== 'field' || operand.path.length === 0) return operand;
    const list: Expression[] = [];
    while (!this.done && ![')', '|', ',', ':=', '='].includes((this.peek() as Token).text))
      list.push(this.#operand());
    return list.length === 0 ? operand : { ...operand, arguments: list };
  }

  #operand(): Expression {
    const token = this.take();
    switch (token.kind) {
      case 'string':
        return {
          kind: 'literal',
          value: token.text.startsWith('`') ? token.text.slice(1, -1) : JSON.parse(token.text),
        };
      case 'number':
        return { kind: 'literal', value: Number(token.text) };
      case 'field':
        return { kind: 'field', root: '.', path: token.text === '.' ? [] : token.text.slice(1).split('.') };
      case 'variable': {
        const [name = '', ...path] = token.text.slice(1).split('.');
        return { kind: 'field', root: `$${name}`, path };
      }
      case 'word':
        if (token.text === 'true' || token.text === 'false')
          return { kind: 'literal', value: token.text === 'true' };
        if (token.text === 'nil') return { kind: 'literal', value: null };
        return { kind: 'call', name: token.text, arguments: [] };
      case 'mark': {
        if (token.text !== '(') throw fail(`unexpected "${token.text}" in operand`);
        const inner = this.pipeline();
        this.take(')');
        const next = this.peek();
        if (next?.kind === 'field' && next.text !== '.') {
          this.take();
          return { kind: 'access', of: inner, path: next.text.slice(1).split('.') };
        }
        return inner;
      }
      default:
        throw fail(`unexpected ${token.text}`);
    }
  }
}

interface Piece {
  readonly kind: 'text' | 'action';
  readonly text: string;
}

function pieces(template: string): Piece[] {
  const found: Piece[] = [];
  let rest = template;
  let trim = false;
  while (rest !== '') {
    const open = rest.indexOf('{{');
    let text = open === -1 ? rest : rest.slice(0, open);
    if (trim) text = text.trimStart();
    if (open === -1) {
      found.push({ kind: 'text', text });
      break;
    }
    const close = /"(?:[^"\\]|\\.)*"|`[^`]*`|\}\}/g;
    close.lastIndex = open;
    let end = -1;
    for (let match = close.exec(rest); match; match = close.exec(rest)) {
      if (match[0] !== '}}') continue;
      end = match.index;
      break;
    }
    if (end === -1) throw fail('unclosed action');
    let action = rest.slice(open + 2, end);
    if (action.startsWith('- ')) {
      text = text.trimEnd();
      action = action.slice(1);
    }
    trim = action.endsWith(' -');
    if (trim) action = action.slice(0, -1);
    if (text !== '') found.push({ kind: 'text', text });
    if (!action.trim().startsWith('/*')) found.push({ kind: 'action', text: action.trim() });
    rest = rest.slice(end + 2);
  }
  return found;
}

/** Reads a Go template (text/template): fields, pipelines, variables, if/else, with, range. @throws VarveError `invalid`. */
export function parseTemplate(template: string): readonly Node[] {
  const queue = pieces(template);
  let at = 0;
  const block = (): { nodes: Node[]; end: string } => {
    const nodes: Node[] = [];
    for (; at < queue.length; ) {
      const piece = queue[at++] as Piece;
      if (piece.kind === 'text') {
        nodes.push({ kind: 'text', text: piece.text });
        continue;
      }
      const keyword = /^(if|with|range|else|end|define|template|block|break|continue)\b/.exec(
        piece.text,
      )?.[1];
      if (keyword === 'end' || keyword === 'else') return { nodes, end: piece.text };
      if (keyword === 'if' || keyword === 'with' || keyword === 'range')
        nodes.push(control(keyword, piece.text.slice(keyword.length)));
      else if (keyword !== undefined) throw fail(`{{${keyword}}} is not supported`);
      else nodes.push(action(piece.text));
    }
    return { nodes, end: '' };
  };
  const action = (text: string): Node => {
    const parser = new ActionParser(text);
    const [name] = parser.declarations();
    const value = parser.pipeline();
    if (!parser.done) throw fail(`unexpected ${parser.peek()?.text} in command`);
    return name === undefined ? { kind: 'print', value } : { kind: 'set', name, value };
  };
  const control = (keyword: 'if' | 'with' | 'range', text: string): Node => {
    const parser = new ActionParser(text);
    const names = parser.declarations();
    const value = parser.pipeline();
    const body = block();
    let otherwise: readonly Node[] = [];
    if (body.end.startsWith('else')) {
      const rest = body.end.slice(4).trim();
      if (rest === '') {
        const other = block();
        if (other.end !== 'end') throw fail('unexpected EOF');
        otherwise = other.nodes;
      } else {
        const next = /^(if|with)\b/.exec(rest)?.[1] as 'if' | 'with' | undefined;
        if (!next) throw fail(`unexpected <${rest}> in else`);
        otherwise = [control(next, rest.slice(next.length))];
      }
    } else if (body.end !== 'end') throw fail('unexpected EOF');
    if (keyword !== 'range') return { kind: keyword, test: value, then: body.nodes, otherwise };
    const [first, second] = names;
    return {
      kind: 'range',
      over: value,
      ...(second === undefined
        ? first === undefined
          ? {}
          : { item: first }
        : { key: first as string, item: second }),
      body: body.nodes,
      otherwise,
    };
  };
  const { nodes, end } = block();
  if (end !== '') throw fail(`unexpected {{${end}}}`);
  return nodes;
}
