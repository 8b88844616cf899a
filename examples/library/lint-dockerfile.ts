/**
 * Reads a Dockerfile without building it: its stages and instructions, and what a reviewer would say.
 *   node examples/library/lint-dockerfile.ts examples/articles/Dockerfile
 */
import { readFileSync } from 'node:fs';
import { lint, parseDockerfile } from 'varve/dockerfile';

const path = process.argv[2] ?? 'Dockerfile';
const file = parseDockerfile(readFileSync(path, 'utf8'));
for (const stage of file.stages) {
  console.log(`stage ${stage.index}: ${stage.instructions.length} instructions`);
  for (const instruction of stage.instructions)
    console.log(`  ${instruction.range.startLine}: ${instruction.kind}`);
}
for (const warning of lint(file))
  console.log(`${path}:${warning.range.startLine}: ${warning.rule}: ${warning.message}`);
