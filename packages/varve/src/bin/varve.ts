import { writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The command. What is asked most often and needs least is answered before anything else is loaded. */
const words = process.argv.slice(2);

if (words.length === 1 && (words[0] === '--version' || words[0] === '-v')) {
  // Built into the bundle; without `process.stdout`, whose streams take as long to load as the rest.
  const version = process.env['VARVE_VERSION'] ?? (await import('../cli/version.ts')).versionText;
  writeSync(1, `Varve version ${version}\n`);
} else {
  if (import.meta.url.endsWith('.mjs')) {
    // Beside the bundle, where only its owner writes: code that root will run does not belong in /tmp.
    const { enableCompileCache } = process.getBuiltinModule('node:module');
    enableCompileCache(fileURLToPath(new URL('./compile-cache', import.meta.url)));
  }
  const { runCommandLine } = await import('./command-line.ts');
  process.exitCode = await runCommandLine(words);
}
