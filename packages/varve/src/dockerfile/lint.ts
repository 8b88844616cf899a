import type { Dockerfile, Instruction, SourceRange } from './types.ts';

export interface LintWarning {
  readonly rule: string;
  readonly message: string;
  readonly range: SourceRange;
}

interface LintRule {
  readonly name: string;
  readonly description: string;
  check(file: Dockerfile): Iterable<{ readonly message: string; readonly range: SourceRange }>;
}

function* all(file: Dockerfile): Generator<Instruction> {
  for (const stage of file.stages) yield* stage.instructions;
}

const secretName = /(?:^|_)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)/i;
const notSecret = /(?:^|_)public(?:_|$)/i;

/** Names and texts as in Docker's build checks, so that `# check=skip=…` and their pages fit. */
export const lintRules: readonly LintRule[] = [
  {
    name: 'StageNameCasing',
    description: 'Stage names should be lowercase',
    *check(file) {
      for (const { from } of file.stages) {
        const name = from.written?.name;
        if (name !== undefined && name !== name.toLowerCase()) {
          yield { message: `Stage name '${name}' should be lowercase`, range: from.range };
        }
      }
    },
  },
  {
    name: 'FromAsCasing',
    description: "The 'as' keyword should match the case of the 'from' keyword",
    *check(file) {
      for (const { from } of file.stages) {
        const as = from.written?.as;
        const upper = from.keyword === from.keyword.toUpperCase();
        if (as !== undefined && as !== (upper ? 'AS' : 'as')) {
          yield {
            message: `'${as}' and '${from.keyword}' keywords' casing do not match`,
            range: from.range,
          };
        }
      }
    },
  },
  {
    name: 'NoEmptyContinuation',
    description: 'Empty continuation lines will become errors in a future release',
    *check(file) {
      for (const range of file.emptyContinuations) yield { message: 'Empty continuation line', range };
    },
  },
  {
    name: 'ConsistentInstructionCasing',
    description: 'All commands within the Dockerfile should use the same casing (either upper or lower)',
    *check(file) {
      const used = [...file.stages.map((stage) => stage.from), ...all(file)];
      const upper = used.filter(({ keyword }) => keyword === keyword.toUpperCase()).length;
      const style = upper * 2 >= used.length ? 'uppercase' : 'lowercase';
      for (const { keyword, range } of used) {
        const wanted = style === 'uppercase' ? keyword.toUpperCase() : keyword.toLowerCase();
        if (keyword !== wanted) {
          yield {
            message: `Command '${keyword}' should match the case of the command majority (${style})`,
            range,
          };
        }
      }
    },
  },
  {
    name: 'DuplicateStageName',
    description: 'Stage names should be unique',
    *check(file) {
      const seen = new Set<string>();
      for (const { from } of file.stages) {
        if (from.as === undefined) continue;
        if (seen.has(from.as)) {
          yield {
            message: `Duplicate stage name '${from.as}', stage names should be unique`,
            range: from.range,
          };
        }
        seen.add(from.as);
      }
    },
  },
  {
    name: 'ReservedStageName',
    description: 'Reserved words should not be used as stage names',
    *check(file) {
      for (const { from } of file.stages) {
        if (from.as === 'scratch' || from.as === 'context') {
          yield {
            message: `Stage name should not use the same name as reserved stage '${from.as}'`,
            range: from.range,
          };
        }
      }
    },
  },
  {
    name: 'JSONArgsRecommended',
    description:
      'JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals',
    *check(file) {
      for (const instruction of all(file)) {
        if (instruction.kind !== 'CMD' && instruction.kind !== 'ENTRYPOINT') continue;
        if (instruction.command.form === 'shell') {
          yield {
            message: `JSON arguments recommended for ${instruction.kind} to prevent unintended behavior related to OS signals`,
            range: instruction.range,
          };
        }
      }
    },
  },
  {
    name: 'MaintainerDeprecated',
    description: 'The MAINTAINER instruction is deprecated, use a label instead to define an image author',
    *check(file) {
      for (const { kind, range } of all(file)) {
        if (kind === 'MAINTAINER') {
          yield { message: 'Maintainer instruction is deprecated in favor of using label', range };
        }
      }
    },
  },
  {
    name: 'WorkdirRelativePath',
    description:
      'Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes',
    *check(file) {
      for (const stage of file.stages) {
        let absolute = false;
        for (const instruction of stage.instructions) {
          if (instruction.kind !== 'WORKDIR') continue;
          absolute ||= /^[/$]/.test(instruction.path);
          if (!absolute) {
            yield {
              message: `Relative workdir "${instruction.path}" can have unexpected results if the base image changes`,
              range: instruction.range,
            };
          }
        }
      }
    },
  },
  {
    name: 'MultipleInstructionsDisallowed',
    description: 'Multiple instructions of the same type should not be used in the same stage',
    *check(file) {
      for (const stage of file.stages) {
        for (const kind of ['CMD', 'ENTRYPOINT', 'HEALTHCHECK']) {
          const same = stage.instructions.filter((instruction) => instruction.kind === kind);
          for (const { range } of same.slice(0, -1)) {
            yield {
              message: `Multiple ${kind} instructions should not be used in the same stage because only the last one will be used`,
              range,
            };
          }
        }
      }
    },
  },
  {
    name: 'LegacyKeyValueFormat',
    description: 'Legacy key/value format with whitespace separator should not be used',
    *check(file) {
      for (const instruction of all(file)) {
        if ((instruction.kind === 'ENV' || instruction.kind === 'LABEL') && instruction.legacy) {
          yield {
            message: `"${instruction.kind} key=value" should be used instead of legacy "${instruction.kind} key value" format`,
            range: instruction.range,
          };
        }
      }
    },
  },
  {
    name: 'SecretsUsedInArgOrEnv',
    description: 'Sensitive data should not be used in the ARG or ENV commands',
    *check(file) {
      for (const instruction of all(file)) {
        if (instruction.kind !== 'ARG' && instruction.kind !== 'ENV') continue;
        const names =
          instruction.kind === 'ARG'
            ? instruction.args.map(({ name }) => name)
            : instruction.pairs.map(({ key }) => key);
        for (const name of names) {
          if (!secretName.test(name) || notSecret.test(name)) continue;
          yield {
            message: `Do not use ARG or ENV instructions for sensitive data (${instruction.kind} "${name}")`,
            range: instruction.range,
          };
        }
      }
    },
  },
  {
    name: 'ExposeProtoCasing',
    description: 'Protocol in EXPOSE instruction should be lowercase',
    *check(file) {
      for (const instruction of all(file)) {
        if (instruction.kind !== 'EXPOSE') continue;
        for (const port of instruction.ports) {
          const protocol = port.split('/')[1] ?? '';
          if (protocol !== protocol.toLowerCase()) {
            yield {
              message: `Defined protocol '${port}' in EXPOSE instruction should be lowercase`,
              range: instruction.range,
            };
          }
        }
      }
    },
  },
];

/** Names after `skip=` of the `check` directive; `all` skips every rule. */
function skipped(check: string | undefined): readonly string[] {
  const skip = check?.split(';').find((part) => part.trim().startsWith('skip='));
  return (
    skip
      ?.trim()
      .slice(5)
      .split(',')
      .map((name) => name.trim()) ?? []
  );
}

/** Runs the rules over a Dockerfile; warnings in the order of its lines. */
export function lint(file: Dockerfile): readonly LintWarning[] {
  const skip = skipped(file.directives.check);
  if (skip.includes('all')) return [];
  return lintRules
    .filter((rule) => !skip.includes(rule.name))
    .flatMap((rule) => [...rule.check(file)].map((warning) => ({ rule: rule.name, ...warning })))
    .sort((a, b) => a.range.startLine - b.range.startLine);
}
