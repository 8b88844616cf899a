import { once } from 'node:events';
import type { Attachment } from '@varve/client';
import type { Terminal } from './terminal.ts';

export interface SessionOptions {
  readonly tty: boolean;
  /** Forward stdin. */
  readonly stdin: boolean;
  /** Tells the engine the size of the screen. */
  readonly resize: (rows: number, columns: number) => Promise<void>;
}

/**
 * Node's raw mode leaves the terminal turning line ends into CR LF; the container's own terminal has done so already.
 * Leaving raw mode brings all settings back.
 */
async function leaveOutputAlone(): Promise<void> {
  // Loaded only here: most commands start no program.
  const { findProgram, run } = await import('../linux/index.ts');
  await run(findProgram('stty'), ['-F', `/proc/${process.pid}/fd/0`, '-opost']);
}

/**
 * Connects a person's terminal with a container's streams until the container's output ends. With a terminal, stdin is
 * raw and the size follows the window; keys are the container's own, so Ctrl-C reaches it and not us.
 */
export async function interactiveSession(
  terminal: Terminal,
  attachment: Attachment,
  options: SessionOptions,
): Promise<void> {
  const { stdin, stdout, stderr } = terminal;
  const raw = options.tty && options.stdin && stdin.isTTY;
  const resize = (): void => {
    options.resize(stdout.rows ?? 24, stdout.columns ?? 80).catch(() => undefined);
  };
  const forward = (chunk: Buffer): void => {
    if (!attachment.socket.write(chunk)) {
      stdin.pause();
      attachment.socket.once('drain', () => stdin.resume());
    }
  };
  const finish = (): void => {
    attachment.socket.end();
  };
  attachment.socket.on('error', () => undefined);
  if (options.tty && terminal.interactive) {
    stdout.on('resize', resize);
    resize();
  }
  if (options.stdin) {
    if (raw) {
      stdin.setRawMode(true);
      await leaveOutputAlone();
    }
    stdin.on('data', forward);
    stdin.on('end', finish);
    stdin.resume();
  }
  try {
    for await (const { stream, data } of attachment.output) {
      const target = stream === 1 ? stdout : stderr;
      if (!target.write(data)) await once(target, 'drain');
    }
  } finally {
    stdout.off('resize', resize);
    if (options.stdin) {
      stdin.off('data', forward);
      stdin.off('end', finish);
      stdin.pause();
      if (raw) stdin.setRawMode(false);
    }
    attachment.socket.destroy();
  }
}
