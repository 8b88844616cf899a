import { syntaxError } from './errors.ts';
import { didYouMean } from './suggest.ts';

/** One `RUN --mount`, after expansion (Dockerfile reference, "RUN --mount"). */
export interface RunMount {
  readonly type: 'bind' | 'cache' | 'tmpfs' | 'secret' | 'ssh';
  /** Stage, image or named context the source is in; undefined for the build context. */
  readonly from?: string;
  readonly source?: string;
  readonly target?: string;
  readonly readOnly: boolean;
  readonly id?: string;
  readonly sharing: 'shared' | 'private' | 'locked';
  readonly required: boolean;
  /** Bytes as written, for tmpfs. */
  readonly size?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Name of the variable a secret is put into. */
  readonly env?: string;
}

const keys = [
  'type',
  'from',
  'source',
  'src',
  'target',
  'dst',
  'destination',
  'readonly',
  'ro',
  'readwrite',
  'rw',
  'id',
  'sharing',
  'required',
  'size',
  'mode',
  'uid',
  'gid',
  'env',
];
const types = ['bind', 'cache', 'tmpfs', 'secret', 'ssh'];

/** Splits at commas outside double quotes, as a CSV line. */
function csv(text: string): string[] {
  const fields = [...text.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)];
  return fields.map((field) => field[1]?.replaceAll('""', '"') ?? field[2] ?? '');
}

function flag(key: string, value: string | undefined): boolean {
  if (value === undefined || /^(?:true|1|t)$/i.test(value)) return true;
  if (/^(?:false|0|f)$/i.test(value)) return false;
  throw syntaxError(`invalid value for ${key}: ${value}`);
}

function number(key: string, value: string | undefined, base: 8 | 10): number {
  if (!new RegExp(base === 8 ? '^0?[0-7]{1,4}$' : '^\\d{1,10}$').test(value ?? '')) {
    throw syntaxError(`invalid value ${value ?? ''} for ${key}`);
  }
  return Number.parseInt(value as string, base);
}

/**
 * Reads the value of one `--mount`, with its variables already expanded.
 * @throws VarveError `DOCKERFILE_SYNTAX`.
 */
export function parseMount(text: string): RunMount {
  const given = new Map<string, string | undefined>();
  for (const field of csv(text)) {
    const at = field.indexOf('=');
    const key = (at < 0 ? field : field.slice(0, at)).toLowerCase();
    if (!keys.includes(key))
      throw syntaxError(`unexpected key '${key}' in '${field}'${didYouMean(key, keys)}`);
    given.set(key, at < 0 ? undefined : field.slice(at + 1));
  }
  const take = (...names: string[]): string | undefined => {
    const name = names.find((candidate) => given.has(candidate));
    return name === undefined ? undefined : given.get(name);
  };
  const type = take('type') ?? 'bind';
  if (!types.includes(type)) throw syntaxError(`unsupported mount type ${JSON.stringify(type)}`);
  const target = take('target', 'dst', 'destination');
  if (target === undefined && type !== 'secret' && type !== 'ssh') {
    throw syntaxError(`invalid mount: target is required`);
  }
  const sharing = take('sharing') ?? 'shared';
  if (sharing !== 'shared' && sharing !== 'private' && sharing !== 'locked') {
    throw syntaxError(`unsupported sharing value ${JSON.stringify(sharing)}`);
  }
  let readOnly = type === 'bind';
  for (const [key, value] of given) {
    if (key === 'ro' || key === 'readonly') readOnly = flag(key, value);
    if (key === 'rw' || key === 'readwrite') readOnly = !flag(key, value);
  }
  const from = take('from');
  const source = take('source', 'src');
  const id = take('id');
  const size = take('size');
  const env = take('env');
  return {
    type: type as RunMount['type'],
    readOnly,
    sharing,
    required: given.has('required') && flag('required', given.get('required')),
    ...(target === undefined ? {} : { target }),
    ...(from === undefined ? {} : { from }),
    ...(source === undefined ? {} : { source }),
    ...(id === undefined ? {} : { id }),
    ...(size === undefined ? {} : { size }),
    ...(env === undefined ? {} : { env }),
    ...(given.has('mode') ? { mode: number('mode', given.get('mode'), 8) } : {}),
    ...(given.has('uid') ? { uid: number('uid', given.get('uid'), 10) } : {}),
    ...(given.has('gid') ? { gid: number('gid', given.get('gid'), 10) } : {}),
  };
}
