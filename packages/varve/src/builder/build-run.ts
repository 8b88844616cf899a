import { isKind, shortId, throwIfAborted, VarveError } from '../base/index.ts';
import {
  type Dockerfile,
  globalScope,
  type Instruction,
  lint,
  parseTrigger,
  platformArgs,
  proxyArgs,
  type SourceRange,
  StageScope,
  type Variables,
} from '../dockerfile/index.ts';
import {
  type Digest,
  familiarReference,
  hostPlatform,
  type Platform,
  parsePlatform,
  parseReference,
  withDefaultTag,
} from '../oci/index.ts';
import { findImage, unpacked } from './base-image.ts';
import { cachedStep, noLayer } from './cached-step.ts';
import { defaultPath, nopText } from './metadata.ts';
import {
  type BuildPlan,
  type PlannedStage,
  planBuild,
  resolveFrom,
  type StageReference,
  stageName,
} from './plan.ts';
import type { Session } from './session.ts';
import { StageState } from './stage-state.ts';
import { executeStep } from './step-executor.ts';
import type { StepContext, Tree } from './step-layer.ts';

/** Puts the Dockerfile's line on an error of a step. */
function atLine(error: unknown, range: SourceRange): unknown {
  if (!VarveError.is(error) || error.data?.['line'] !== undefined || error.kind === 'cancelled') return error;
  const { kind, code, message, hint, subject, data } = error;
  return new VarveError(kind, code, message, {
    cause: error,
    data: { ...data, line: range.startLine, endLine: range.endLine },
    ...(hint === undefined ? {} : { hint }),
    ...(subject === undefined ? {} : { subject }),
  });
}

/** One build, from the parsed Dockerfile to the tagged image. */
export class BuildRun {
  readonly #session: Session;
  readonly #dockerfile: Dockerfile;
  readonly #globals: Variables;
  readonly #plan: BuildPlan;
  readonly #platform: Platform;
  readonly #stages = new Map<number, StageState>();
  readonly #consumed = new Set<string>();
  readonly #total: number;
  #index = 0;

  /** @throws VarveError `invalid` for stages, targets, platforms and tags that cannot be. */
  constructor(session: Session, dockerfile: Dockerfile) {
    this.#session = session;
    this.#dockerfile = dockerfile;
    const { request } = session;
    for (const tag of request.tags) parseReference(tag);
    const host = hostPlatform();
    this.#platform = request.platform ? parsePlatform(request.platform) : host;
    const automatic = platformArgs(host, this.#platform);
    const options = { escape: dockerfile.directives.escape };
    this.#globals = globalScope(dockerfile.globalArgs, automatic, request.buildArgs, options);
    this.#plan = planBuild(dockerfile, request.target, this.#globals, options);
    const steps = this.#plan.needed.map((index) => 1 + (dockerfile.stages[index]?.instructions.length ?? 0));
    this.#total =
      dockerfile.globalArgs.length +
      steps.reduce((sum, count) => sum + count, 0) +
      (Object.keys(request.labels).length > 0 ? 1 : 0);
    for (const name of [...Object.keys(automatic), ...proxyArgs]) this.#consumed.add(name);
    for (const { args } of dockerfile.globalArgs) for (const { name } of args) this.#consumed.add(name);
  }

  /** @returns the image's id. */
  async run(): Promise<Digest> {
    const { emit, request } = this.#session;
    this.#warnOfSyntax();
    for (const { text } of this.#dockerfile.globalArgs) this.#announce('', text);
    for (const index of this.#plan.needed) await this.#stage(index);
    const target = await this.#stage(this.#plan.target);
    if (target.image === undefined) {
      throw new VarveError('invalid', 'NO_IMAGE', 'No image was generated. Is your Dockerfile empty?');
    }
    this.#warnOfUnusedArgs();
    for (const { rule, message, range } of lint(this.#dockerfile)) {
      emit({ type: 'warning', message: `${rule}: ${message} (line ${range.startLine})` });
    }
    await this.#name(target);
    this.#session.options.images.flush();
    const tags = request.tags.map((tag) => familiarReference(withDefaultTag(parseReference(tag))));
    emit({ type: 'done', image: target.image, tags });
    return target.image;
  }

  /** Tags the result, which a prune may take away until it has a name. */
  async #name(target: StageState): Promise<void> {
    const { request, options } = this.#session;
    for (let tries = 0; ; tries++) {
      const image = await target.local(options.images);
      try {
        for (const tag of request.tags) if (image) options.images.tag(image.id, tag);
        return;
      } catch (error) {
        if (!isKind(error, 'not-found') || tries === 5) throw error;
      }
    }
  }

  #announce(stage: string, text: string): number {
    throwIfAborted(this.#session.signal);
    const index = ++this.#index;
    this.#session.emit({ type: 'step', index, total: this.#total, stage, text });
    return index;
  }

  /** Builds a stage once; what it needs was built before, or is now when only a step's variables told. */
  async #stage(index: number): Promise<StageState> {
    const done = this.#stages.get(index);
    if (done) return done;
    const planned = this.#plan.stages[index] as PlannedStage;
    const { from, instructions } = planned.stage;
    const name = stageName(planned.stage);
    this.#announce(name, from.text);
    const stage = await this.#start(planned).catch((error: unknown) => {
      throw atLine(error, from.range);
    });
    this.#showImage(stage);
    const context: StepContext = {
      session: this.#session,
      stage,
      findTree: (value) => this.#tree(value, index, stage),
    };
    await this.#triggers(context, from.range);
    for (const instruction of instructions) {
      await this.#step(context, instruction, this.#announce(name, instruction.text));
    }
    if (index === this.#plan.target) await this.#labels(stage, name);
    for (const declared of stage.scope.declared) this.#consumed.add(declared);
    this.#stages.set(index, stage);
    return stage;
  }

  async #step(context: StepContext, instruction: Instruction, index: number): Promise<void> {
    try {
      throwIfAborted(this.#session.signal);
      await executeStep(context, instruction, index);
    } catch (error) {
      throw atLine(error, instruction.range);
    }
    this.#showImage(context.stage);
  }

  #showImage(stage: StageState): void {
    const id = stage.image ?? '';
    this.#session.emit({ type: 'image', id, text: ` ---> ${shortId(id)}` });
  }

  async #start({ base, platform }: PlannedStage): Promise<StageState> {
    if (base.kind === 'stage') return StageState.after(await this.#stage(base.index));
    const { request } = this.#session;
    const options = { escape: this.#dockerfile.directives.escape };
    const scope = new StageScope(this.#globals, request.buildArgs, options);
    const wanted = platform ? parsePlatform(platform) : request.platform ? this.#platform : undefined;
    const stage =
      base.kind === 'scratch'
        ? new StageState(wanted ?? this.#platform, scope)
        : StageState.from(await findImage(this.#session, base.name, wanted), scope);
    const env = stage.config.Env ?? [];
    const path = env.some((entry) => entry.startsWith('PATH=')) ? [] : [`PATH=${defaultPath}`];
    stage.config = { ...stage.config, Env: [...env, ...path] };
    scope.inherit(stage.config.Env ?? []);
    return stage;
  }

  /** ONBUILD of the base image: its instructions come first, and are not handed on. */
  async #triggers(context: StepContext, range: SourceRange): Promise<void> {
    const { stage } = context;
    const { OnBuild: triggers = [], ...config } = stage.config;
    if (triggers.length === 0) return;
    stage.config = config;
    const text = `# Executing ${triggers.length} build trigger${triggers.length === 1 ? '' : 's'}`;
    this.#session.emit({ type: 'status', text });
    for (const trigger of triggers) {
      await this.#step(context, { ...parseTrigger(trigger), range }, this.#index);
    }
  }

  /** `--label` is one more LABEL at the end of the target stage, taken literally. */
  async #labels(stage: StageState, name: string): Promise<void> {
    const labels = Object.entries(this.#session.request.labels);
    if (labels.length === 0) return;
    const text = `LABEL ${labels.map(([key, value]) => `${key}=${value}`).join(' ')}`;
    const index = this.#announce(name, text);
    const config = { ...stage.config, Labels: { ...stage.config.Labels, ...Object.fromEntries(labels) } };
    const createdBy = nopText(stage.config, ` ${text}`);
    const inputs = { before: stage.digest, text, args: [], effective: JSON.stringify(labels) };
    await cachedStep(this.#session, stage, index, inputs, { config, createdBy }, noLayer);
    this.#showImage(stage);
  }

  async #tree(from: string | undefined, current: number, stage: StageState): Promise<Tree> {
    if (from === undefined) return { kind: 'context' };
    const reference: StageReference = resolveFrom(from, this.#plan, current);
    if (reference.kind === 'scratch') return { kind: 'layers', chain: undefined };
    const { images } = this.#session.options;
    if (reference.kind === 'stage') {
      const local = await (await this.#stage(reference.index)).local(images);
      return { kind: 'layers', chain: local ? await unpacked(this.#session, local) : undefined };
    }
    const image = await findImage(this.#session, reference.name, stage.platform);
    return { kind: 'layers', chain: await unpacked(this.#session, image) };
  }

  #warnOfSyntax(): void {
    const { syntax } = this.#dockerfile.directives;
    if (syntax === undefined || /^(?:docker\.io\/)?docker\/dockerfile(?:-upstream)?(?::|@|$)/.test(syntax))
      return;
    this.#session.emit({
      type: 'warning',
      message: `the syntax ${syntax} is not used: the Dockerfile is read by the built-in parser`,
    });
  }

  #warnOfUnusedArgs(): void {
    const unused = Object.keys(this.#session.request.buildArgs).filter((name) => !this.#consumed.has(name));
    if (unused.length === 0) return;
    const message = `One or more build-args [${unused.sort().join(' ')}] were not consumed`;
    this.#session.emit({ type: 'warning', message });
  }
}
