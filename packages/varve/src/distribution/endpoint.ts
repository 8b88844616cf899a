import type { VarveError } from '../base/index.ts';
import { abortable } from './abortable.ts';
import { isProtocolError } from './failures.ts';
import { isLoopback } from './insecure.ts';
import type { HttpAnswer, Transport } from './transport.ts';

/** Where a registry answers, and how far it is trusted. */
export class Endpoint {
  /** The host whose credentials belong here, `docker.io`, `127.0.0.1:5000`. */
  readonly host: string;
  /** Certificates are not checked and plain HTTP is allowed. */
  readonly insecure: boolean;
  readonly #address: string;
  #base: URL | undefined;
  #probe: Promise<URL> | undefined;

  /** @param url of a mirror, which says its scheme; otherwise https is tried and, for an insecure host, http. */
  constructor(host: string, options: { readonly insecure: boolean; readonly url?: URL }) {
    this.host = host;
    this.insecure = options.insecure || isLoopback(host);
    // Docker Hub's API lives under another name than its images bear.
    this.#address = host === 'docker.io' ? 'registry-1.docker.io' : host;
    this.#base = options.url ?? (this.insecure ? undefined : new URL(`https://${this.#address}`));
  }

  /**
   * The root of the API. For an insecure host the first call asks `/v2/` by https and, when that speaks no TLS, by
   * http, as dockerd does; what answered is kept.
   * @param onAnswer sees the probe's answer (its challenge saves a request).
   */
  async base(
    transport: Transport,
    onAnswer: (answer: HttpAnswer) => void,
    signal?: AbortSignal,
  ): Promise<URL> {
    if (this.#base !== undefined) return this.#base;
    this.#probe ??= this.#find(transport, onAnswer).finally(() => {
      this.#probe = undefined;
    });
    this.#base = await abortable(this.#probe, signal);
    return this.#base;
  }

  /** Forgets the scheme after a failure to speak it, unless it was given. */
  distrust(error: VarveError): void {
    if (this.insecure && isProtocolError(error.cause)) this.#base = undefined;
  }

  async #find(transport: Transport, onAnswer: (answer: HttpAnswer) => void): Promise<URL> {
    try {
      return await this.#ask(transport, 'https', onAnswer);
    } catch {
      return await this.#ask(transport, 'http', onAnswer);
    }
  }

  async #ask(transport: Transport, scheme: string, onAnswer: (answer: HttpAnswer) => void): Promise<URL> {
    const base = new URL(`${scheme}://${this.#address}`);
    const answer = await transport.send({
      method: 'GET',
      url: new URL('/v2/', base),
      headers: {},
      insecure: this.insecure,
    });
    await answer.discard();
    onAnswer(answer);
    return base;
  }
}
