import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError, writeFileAtomic } from '../base/index.ts';
import type { OciSpec } from './spec/oci-spec.ts';

/** What the runtime must remember of a container beyond the OCI spec, kept in its bundle for the next daemon. */
export interface ContainerRecord {
  readonly id: string;
  readonly name: string;
  readonly tty: boolean;
  readonly openStdin: boolean;
  /** As given: an exec for the same user gets the same groups. */
  readonly user: string;
  readonly cgroupPath: string;
  /** False when it shares the host's network interfaces. */
  readonly ownNetwork: boolean;
}

const file = 'varve.json';

export function writeRecord(bundle: string, record: ContainerRecord): void {
  writeFileAtomic(join(bundle, file), JSON.stringify(record));
}

/** @throws VarveError `not-found` when the runtime has no such container. */
export function readRecord(bundle: string, id: string): ContainerRecord {
  try {
    return JSON.parse(readFileSync(join(bundle, file), 'utf8')) as ContainerRecord;
  } catch (error) {
    throw new VarveError('not-found', 'NO_SUCH_CONTAINER', `No such container: ${id}`, {
      subject: id,
      cause: error,
    });
  }
}

/** The OCI spec of a container that was created. */
export function readSpec(bundle: string): OciSpec {
  return JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8')) as OciSpec;
}
