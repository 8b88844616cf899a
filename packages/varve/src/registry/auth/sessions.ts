import { type AccessRequest, anonymous, type Identity } from './access-control.ts';
import type { ConfiguredAccess } from './configured-access.ts';
import type { TokenHolder } from './embedded-tokens.ts';
import { TokenError } from './token-error.ts';

/** What is kept of an identity between two requests of a session. */
export interface SessionHolder extends TokenHolder {
  /** Of the password or secret that it was opened with. */
  readonly fingerprint: string;
}

/** What sessions of people need of access control: a login once, and who that still is later. */
export class Sessions {
  readonly #access: ConfiguredAccess;

  constructor(access: ConfiguredAccess) {
    this.#access = access;
  }

  /**
   * Who a name and a password are.
   * @returns an identity with a refusal when they are wrong
   * @throws RegistryError `TOOMANYREQUESTS` after too many wrong ones
   */
  async login(user: string, password: string, request: AccessRequest): Promise<Identity> {
    const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
    return await this.#access.identify({ ...request, headers: { ...request.headers, authorization } });
  }

  async holderOf(identity: Identity): Promise<SessionHolder> {
    const { kind, name, groups, via } = identity;
    return { kind, name, groups, via, fingerprint: await this.#access.fingerprint(identity) };
  }

  /** Who a holder still is; anonymous when its user or robot was removed, or its password changed. */
  async resume(holder: SessionHolder, request: AccessRequest): Promise<Identity> {
    const { fingerprint, ...rest } = holder;
    try {
      const expected = fingerprint === '' ? undefined : fingerprint;
      return { ...(await this.#access.identifyHolder(rest, expected)), remote: request.remote };
    } catch (error) {
      if (!(error instanceof TokenError)) throw error;
      return { ...anonymous, remote: request.remote };
    }
  }
}
