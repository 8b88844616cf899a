import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { VarveError } from '../../base/index.ts';
import type { RegistryConfig } from '../config/index.ts';

type TlsConfig = NonNullable<RegistryConfig['http']['tls']>;

/** What a TLS listener is made of. */
export interface TlsSettings {
  /** May be replaced while it listens. */
  readonly context: SecureContextOptions;
  /** Whether clients are asked for a certificate, and whether one without is let in. */
  readonly clients: 'none' | 'optional' | 'required';
}

/**
 * Reads the files of `http.tls`.
 * @throws VarveError `invalid` (`TLS_INVALID`) when one cannot be read, or they do not fit together
 */
export function readTls(config: TlsConfig): TlsSettings {
  const clients =
    config.clientcas.length === 0
      ? 'none'
      : config.clientauth === 'verify-client-cert-if-given'
        ? 'optional'
        : 'required';
  const context: SecureContextOptions = {
    cert: read(config.certificate),
    key: read(config.key),
    ...(config.clientcas.length === 0 ? {} : { ca: config.clientcas.map(read) }),
    minVersion: config.minimumtls === 'tls1.3' ? 'TLSv1.3' : 'TLSv1.2',
  };
  try {
    createSecureContext(context);
  } catch (error) {
    throw invalid(`cannot use http.tls: ${(error as Error).message}`, error);
  }
  return { context, clients };
}

function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw invalid(`cannot read ${path}: ${(error as Error).message}`, error);
  }
}

function invalid(message: string, cause: unknown): VarveError {
  return new VarveError('invalid', 'TLS_INVALID', message, { cause });
}
