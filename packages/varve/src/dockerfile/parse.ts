import { parseError } from './errors.ts';
import { parseInstruction } from './instruction.ts';
import { readInstructions } from './reader.ts';
import type { ArgInstruction, Dockerfile, FromInstruction, Instruction, Stage } from './types.ts';

/**
 * Reads a Dockerfile into its stages.
 * @throws VarveError `invalid` `DOCKERFILE_INVALID`; `data.line` is the line, 1-based.
 * @example parseDockerfile('FROM scratch\nCOPY app /\n').stages[0]?.instructions[0]?.kind // 'COPY'
 */
export function parseDockerfile(source: string): Dockerfile {
  const { directives, instructions } = readInstructions(source);
  const globalArgs: ArgInstruction[] = [];
  const stages: { readonly from: FromInstruction; readonly instructions: Instruction[] }[] = [];
  for (const raw of instructions) {
    const instruction = parseInstruction(raw, directives.escape);
    const stage = stages.at(-1);
    if (instruction.kind === 'FROM') stages.push({ from: instruction, instructions: [] });
    else if (stage) stage.instructions.push(instruction);
    else if (instruction.kind === 'ARG') globalArgs.push(instruction);
    else throw parseError(raw.range, 'no build stage in current context');
  }
  return {
    directives,
    globalArgs,
    stages: stages.map((stage, index): Stage => ({ index, ...stage })),
    emptyContinuations: instructions.filter((raw) => raw.emptyContinuation).map((raw) => raw.range),
  };
}

/** Reads one trigger that an image's `OnBuild` holds, as an instruction of the stage that uses the image. */
export function parseTrigger(trigger: string): Instruction {
  const { instructions, directives } = readInstructions(trigger);
  const raw = instructions[0];
  if (!raw || instructions.length !== 1) {
    throw parseError({ startLine: 1, endLine: 1 }, `invalid ONBUILD trigger: ${trigger}`);
  }
  const instruction = parseInstruction(raw, directives.escape);
  if (instruction.kind === 'FROM' || instruction.kind === 'ONBUILD') {
    throw parseError(raw.range, `${instruction.kind} isn't allowed as an ONBUILD trigger`);
  }
  return instruction;
}
