import { styleText } from 'node:util';

interface Streams {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
}

/** Where a command reads and writes, so that it can be tested and knows whether a person is looking. */
export class Terminal {
  // Node makes each when it is asked for, which takes milliseconds: few commands read, and few print errors.
  readonly #streams: Streams;
  readonly #colour: boolean;
  readonly #environment: Readonly<Record<string, string | undefined>>;

  constructor(streams: Streams, environment: Readonly<Record<string, string | undefined>>) {
    this.#environment = environment;
    this.#streams = streams;
    const forced = environment['FORCE_COLOR'] !== undefined && environment['FORCE_COLOR'] !== '0';
    const refused = environment['NO_COLOR'] !== undefined && environment['NO_COLOR'] !== '';
    this.#colour = forced || (!refused && environment['TERM'] !== 'dumb' && this.interactive);
  }

  get stdin(): NodeJS.ReadStream {
    return this.#streams.stdin;
  }

  get stdout(): NodeJS.WriteStream {
    return this.#streams.stdout;
  }

  get stderr(): NodeJS.WriteStream {
    return this.#streams.stderr;
  }

  /** The same terminal with all it prints going to stderr. */
  onStderr(): Terminal {
    const streams = this.#streams;
    const { stderr } = streams;
    return new Terminal(
      {
        get stdin() {
          return streams.stdin;
        },
        stdout: stderr,
        stderr,
      },
      this.#environment,
    );
  }

  /** True when a person sees stdout. */
  get interactive(): boolean {
    return this.stdout.isTTY;
  }

  /** Columns of the screen; 80 where there is none. */
  get width(): number {
    return this.stdout.columns ?? 80;
  }

  print(text = ''): void {
    this.stdout.write(`${text}\n`);
  }

  warn(text: string): void {
    this.stderr.write(`${text}\n`);
  }

  /** Styles text where colour is wanted. */
  style(format: Parameters<typeof styleText>[0], text: string): string {
    return this.#colour ? styleText(format, text, { validateStream: false }) : text;
  }
}
