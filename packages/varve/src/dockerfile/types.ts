/** Lines of the source, 1-based, both included. */
export interface SourceRange {
  readonly startLine: number;
  readonly endLine: number;
}

/** A here-document of ADD, COPY or RUN. */
export interface Heredoc {
  readonly name: string;
  /** The lines between, each with its line end; leading tabs are still there when `chomp` is set. */
  readonly content: string;
  /** False when the name was quoted: the body is then taken as it is. */
  readonly expand: boolean;
  /** `<<-`: leading tabs are dropped. */
  readonly chomp: boolean;
  /** The number before `<<`; 0 when none. */
  readonly fd: number;
}

/** The command of RUN, CMD, ENTRYPOINT and of a health check. */
export type CommandLine =
  | { readonly form: 'shell'; readonly text: string }
  | { readonly form: 'exec'; readonly args: readonly string[] };

export interface KeyValue {
  readonly key: string;
  readonly value: string;
}

/** A file given in the Dockerfile itself: `COPY <<name dest`. */
export interface InlineFile {
  readonly name: string;
  readonly content: string;
  readonly expand: boolean;
}

interface Common {
  /** The instruction as one line: continuations joined, comments in between dropped, without heredoc bodies. */
  readonly text: string;
  /** The keyword as written. */
  readonly keyword: string;
  readonly range: SourceRange;
}

export interface FromInstruction extends Common {
  readonly kind: 'FROM';
  readonly base: string;
  /** Stage name in lower case. */
  readonly as?: string;
  /** Stage name and keyword as written, for the linter. */
  readonly written?: { readonly as: string; readonly name: string };
  readonly platform?: string;
}

export interface ArgInstruction extends Common {
  readonly kind: 'ARG';
  readonly args: readonly { readonly name: string; readonly value?: string }[];
}

export interface EnvInstruction extends Common {
  readonly kind: 'ENV';
  readonly pairs: readonly KeyValue[];
  /** Written `ENV key value`. */
  readonly legacy: boolean;
}

export interface LabelInstruction extends Common {
  readonly kind: 'LABEL';
  readonly pairs: readonly KeyValue[];
  readonly legacy: boolean;
}

export interface MaintainerInstruction extends Common {
  readonly kind: 'MAINTAINER';
  readonly name: string;
}

export interface RunInstruction extends Common {
  readonly kind: 'RUN';
  readonly command: CommandLine;
  readonly heredocs: readonly Heredoc[];
  /** Values of `--mount`, not expanded; see `parseMount`. */
  readonly mounts: readonly string[];
  readonly network: 'default' | 'none' | 'host';
  readonly security: 'sandbox' | 'insecure';
}

interface Transfer extends Common {
  readonly sources: readonly string[];
  readonly files: readonly InlineFile[];
  readonly destination: string;
  readonly chown?: string;
  readonly chmod?: string;
  readonly link: boolean;
  readonly exclude: readonly string[];
}

export interface CopyInstruction extends Transfer {
  readonly kind: 'COPY';
  readonly from?: string;
  readonly parents: boolean;
}

export interface AddInstruction extends Transfer {
  readonly kind: 'ADD';
  readonly checksum?: string;
  readonly keepGitDir: boolean;
  /** `--unpack`: undefined keeps Docker's default (local archives yes, remote ones no). */
  readonly unpack?: boolean;
}

export interface WorkdirInstruction extends Common {
  readonly kind: 'WORKDIR';
  readonly path: string;
}

export interface UserInstruction extends Common {
  readonly kind: 'USER';
  readonly user: string;
}

export interface VolumeInstruction extends Common {
  readonly kind: 'VOLUME';
  readonly paths: readonly string[];
}

export interface ExposeInstruction extends Common {
  readonly kind: 'EXPOSE';
  readonly ports: readonly string[];
}

export interface EntrypointInstruction extends Common {
  readonly kind: 'ENTRYPOINT';
  readonly command: CommandLine;
}

export interface CmdInstruction extends Common {
  readonly kind: 'CMD';
  readonly command: CommandLine;
}

export interface ShellInstruction extends Common {
  readonly kind: 'SHELL';
  readonly shell: readonly string[];
}

export interface StopsignalInstruction extends Common {
  readonly kind: 'STOPSIGNAL';
  readonly signal: string;
}

export interface HealthcheckInstruction extends Common {
  readonly kind: 'HEALTHCHECK';
  /** undefined for `HEALTHCHECK NONE`. */
  readonly command?: CommandLine;
  /** Nanoseconds. */
  readonly interval?: number;
  readonly timeout?: number;
  readonly startPeriod?: number;
  readonly startInterval?: number;
  readonly retries?: number;
}

export interface OnbuildInstruction extends Common {
  readonly kind: 'ONBUILD';
  /** The trigger's text as the image keeps it, heredoc bodies included. */
  readonly trigger: string;
}

/** One instruction of a stage. */
export type Instruction =
  | ArgInstruction
  | EnvInstruction
  | LabelInstruction
  | MaintainerInstruction
  | RunInstruction
  | CopyInstruction
  | AddInstruction
  | WorkdirInstruction
  | UserInstruction
  | VolumeInstruction
  | ExposeInstruction
  | EntrypointInstruction
  | CmdInstruction
  | ShellInstruction
  | StopsignalInstruction
  | HealthcheckInstruction
  | OnbuildInstruction;

export interface Stage {
  readonly index: number;
  readonly from: FromInstruction;
  readonly instructions: readonly Instruction[];
}

/** The comments `# syntax=`, `# escape=` and `# check=` at the top. */
export interface Directives {
  readonly syntax?: string;
  readonly escape: '\\' | '`';
  readonly check?: string;
}

export interface Dockerfile {
  readonly directives: Directives;
  /** ARG before the first FROM. */
  readonly globalArgs: readonly ArgInstruction[];
  readonly stages: readonly Stage[];
  /** First lines of instructions that hold an empty continuation line. */
  readonly emptyContinuations: readonly SourceRange[];
}
