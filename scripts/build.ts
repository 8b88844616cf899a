/** Bundles the command into packages/varve/dist with esbuild: one file to read instead of hundreds. */
import { globSync, readFileSync, rmSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { build, type Plugin } from 'esbuild';

const root = resolve(import.meta.dirname, '..');
const { values: options } = parseArgs({
  options: { 'if-changed': { type: 'boolean' }, outdir: { type: 'string' } },
});
const output = resolve(root, options.outdir ?? 'packages/varve/dist');

function newest(patterns: readonly string[]): number {
  return Math.max(
    ...globSync([...patterns], { cwd: root }).map((file) => statSync(resolve(root, file)).mtimeMs),
  );
}

function isCurrent(): boolean {
  try {
    return (
      statSync(resolve(output, 'varve.mjs')).mtimeMs >
      newest(['packages/*/src/**/*.ts', 'package-lock.json', 'scripts/build.ts'])
    );
  } catch {
    return false;
  }
}

/** Worker threads and child processes are entered through files of their own, kept beside the bundle under the same name. */
const workers = globSync('packages/varve/src/**/*-worker.ts', { cwd: root });

/** What every command loads. */
const front = /\/packages\/(?:client\/src|varve\/src\/(?:bin|cli|base|oci))\//;

/** Names that the sources of {@link front} import from a built-in module. */
function importedFrom(module: string): string[] {
  const sources = globSync('packages/*/src/**/*.ts', { cwd: root })
    .filter((file) => front.test(`/${file}`))
    .map((file) => readFileSync(resolve(root, file), 'utf8'));
  const lists = sources.flatMap((text) =>
    Array.from(text.matchAll(/^import \{([^}]*)\} from '(node:[^']+)';/gm), ([, names, from]) =>
      from === module ? (names ?? '') : '',
    ),
  );
  const names = lists.join().split(',');
  return [...new Set(names.map((name) => name.trim().replace(/ as .*/, '')))].filter((name) =>
    /^\w+$/.test(name),
  );
}

/**
 * An import of a built-in module reads everything that it exports, and with `fs.promises` or `util.parseArgs` a dozen modules
 * come that Node loads when they are wanted. This reads what is named.
 */
const builtins: Plugin = {
  name: 'builtins',
  setup(bundle) {
    bundle.onResolve({ filter: /^node:/ }, ({ path, kind, importer }) =>
      kind === 'import-statement' && front.test(importer) ? { path, namespace: 'builtin' } : undefined,
    );
    bundle.onLoad({ filter: /^/, namespace: 'builtin' }, ({ path }) => ({
      contents: `export const { ${importedFrom(path).join(', ')} } = process.getBuiltinModule('${path}');`,
    }));
  },
};

if (!(options['if-changed'] === true && isCurrent())) {
  rmSync(output, { recursive: true, force: true });
  const { version } = JSON.parse(readFileSync(resolve(root, 'packages/varve/package.json'), 'utf8')) as {
    version: string;
  };
  await build({
    absWorkingDir: root,
    entryPoints: [
      { in: 'packages/varve/src/bin/varve.ts', out: 'varve' },
      ...workers.map((file) => ({ in: file, out: file.replace(/^.*\//, '').replace(/\.ts$/, '') })),
    ],
    outdir: output,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    external: [
      'koffi',
      '@aws-sdk/*',
      '@azure/*',
      '@google-cloud/*',
      '@opentelemetry/*',
      'ali-oss',
      'cborg',
      'pg',
      'prom-client',
    ],
    define: { 'process.env.VARVE_VERSION': JSON.stringify(version) },
    banner: {
      // For packages of CommonJS; made with the first use, since each of the files here has its own.
      js: "let __require1; const require = (id) => (__require1 ??= process.getBuiltinModule('node:module').createRequire(import.meta.url))(id);",
    },
    plugins: [builtins],
    logLevel: 'warning',
    sourcemap: 'linked',
  });
}
