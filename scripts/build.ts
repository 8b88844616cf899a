/** Bundles the command into packages/varve/dist with esbuild: one file to read instead of hundreds. */
import { globSync, readFileSync, rmSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

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
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
    logLevel: 'warning',
    sourcemap: 'linked',
  });
}
