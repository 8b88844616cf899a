import { join } from 'node:path';
import { freePorts, Judge, missing } from './processes.ts';

const root = join(import.meta.dirname, '../../../../..');
// Where scripts/setup installs what `azurite/package-lock.json` says.
const program = join(root, '.cache/azurite/node_modules/azurite/dist/src/blob/main.js');

export const azuriteMissing: string | false = missing(program);

/** Azurite, Microsoft's emulator: the blob service of one account. */
export interface AzuriteServer extends AsyncDisposable {
  readonly serviceUrl: string;
  readonly account: string;
  readonly key: string;
}

// The account that everybody who runs the emulator has: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
const account = 'devstoreaccount1';
const key = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';

export async function startAzurite(): Promise<AzuriteServer> {
  const judge = new Judge('azurite');
  try {
    const [port = 0] = await freePorts(1);
    judge.start('azurite', [
      process.execPath,
      program,
      ...['--blobHost', '127.0.0.1', '--blobPort', `${port}`, '--location', judge.path('data')],
      ...['--silent', '--skipApiVersionCheck', '--disableTelemetry'],
    ]);
    const url = `http://127.0.0.1:${port}`;
    await judge.until('azurite', () => fetch(url));
    return {
      serviceUrl: `${url}/${account}`,
      account,
      key,
      [Symbol.asyncDispose]: () => judge[Symbol.asyncDispose](),
    };
  } catch (error) {
    await judge[Symbol.asyncDispose]();
    throw error;
  }
}
