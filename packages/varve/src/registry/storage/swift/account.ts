import { Agent, request } from 'undici';
import { VarveError } from '../../../base/index.ts';
import type { SwiftSettings } from '../../config/index.ts';
import { storeError, withRetry } from '../objects/index.ts';

/** What an authentication gives. */
interface Session {
  readonly token: string;
  readonly storageUrl: string;
}

/** One request to a container or an object. */
export interface SwiftRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** After the storage URL, encoded, with its query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
}

export type SwiftAnswer = Awaited<ReturnType<typeof request>>;

/**
 * An account of OpenStack Swift: tempauth (v1) or Keystone v3, a token that is kept until it is refused.
 * https://docs.openstack.org/swift/latest/api/object_api_v1_overview.html
 */
export class SwiftAccount {
  readonly #settings: SwiftSettings;
  readonly #agent: Agent;
  #session: Promise<Session> | undefined;

  constructor(settings: SwiftSettings) {
    this.#settings = settings;
    this.#agent = new Agent({
      connections: 256,
      connectTimeout: 5000,
      // A proxy copies on the server's side before it answers: as long as 5 GiB take.
      headersTimeout: 600_000,
      bodyTimeout: 60_000,
      connect: { rejectUnauthorized: !settings.insecureskipverify },
    });
  }

  /** The storage URL, without a slash at its end. */
  async storageUrl(): Promise<string> {
    return (await this.#current()).storageUrl;
  }

  /**
   * Sends a request with the token, and with a new one when that has expired. The body of the answer is the caller's
   * to read or drop.
   * @param accepted statuses that are no failure, besides 2xx
   * @throws VarveError as {@link storeError}
   */
  async send(action: string, wanted: SwiftRequest, accepted: readonly number[] = []): Promise<SwiftAnswer> {
    for (let attempt = 1; ; attempt++) {
      const session = await this.#current();
      const answer = await this.#request(action, `${session.storageUrl}${wanted.path}`, {
        ...wanted,
        headers: { ...wanted.headers, 'X-Auth-Token': session.token },
      });
      const { statusCode } = answer;
      if (statusCode < 300 || accepted.includes(statusCode)) return answer;
      const text = (await answer.body.text().catch(() => '')).slice(0, 300);
      if (statusCode === 401 && attempt === 1) {
        this.#session = undefined;
        continue;
      }
      throw storeError({ store: 'swift', action, status: statusCode, cause: text });
    }
  }

  /** What the cluster can do (GET /info), as JSON; empty when it does not say. */
  async capabilities(): Promise<Readonly<Record<string, unknown>>> {
    // Beside the version: /v1/AUTH_x has /info, /swift/v1/AUTH_x has /swift/info.
    const url = (await this.storageUrl()).replace(/\/v1(\/.*)?$/, '/info');
    const answer = await this.#request('info', url, { method: 'GET' });
    const text = await answer.body.text();
    if (answer.statusCode !== 200) return {};
    try {
      return JSON.parse(text) as Readonly<Record<string, unknown>>;
    } catch {
      return {};
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  #current(): Promise<Session> {
    this.#session ??= withRetry(() => this.#authenticate()).catch((error: unknown) => {
      this.#session = undefined;
      throw error;
    });
    return this.#session;
  }

  async #authenticate(): Promise<Session> {
    const url = this.#settings.authurl.replace(/\/+$/, '');
    const session = url.endsWith('/v3') ? await this.#keystone(url) : await this.#tempauth(url);
    return { ...session, storageUrl: session.storageUrl.replace(/\/+$/, '') };
  }

  async #tempauth(url: string): Promise<Session> {
    const { username = '', password = '' } = this.#settings;
    const answer = await this.#request('authenticate', url, {
      method: 'GET',
      headers: { 'X-Auth-User': username, 'X-Auth-Key': password },
    });
    await answer.body.dump();
    const { 'x-auth-token': token, 'x-storage-url': storageUrl } = answer.headers;
    if (answer.statusCode >= 300 || typeof token !== 'string' || typeof storageUrl !== 'string') {
      throw refused(answer.statusCode);
    }
    return { token, storageUrl };
  }

  /**
   * https://docs.openstack.org/api-ref/identity/v3/#password-authentication-with-scoped-authorization and
   * #authenticating-with-an-application-credential
   */
  async #keystone(url: string): Promise<Session> {
    const answer = await this.#request('authenticate', `${url}/auth/tokens`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(keystoneRequest(this.#settings)),
    });
    const text = await answer.body.text();
    const token = answer.headers['x-subject-token'];
    if (answer.statusCode >= 300 || typeof token !== 'string') throw refused(answer.statusCode);
    const { endpointtype, region } = this.#settings;
    const { catalog } = (JSON.parse(text) as KeystoneAnswer).token;
    const endpoint = (catalog ?? [])
      .filter(({ type }) => type === 'object-store')
      .flatMap(({ endpoints }) => endpoints)
      .find((one) => one.interface === endpointtype && (region === undefined || one.region === region));
    if (!endpoint) {
      throw new VarveError(
        'invalid',
        'STORE_MISCONFIGURED',
        'swift: the catalogue has no such object store',
        {
          hint: 'check storage.swift.region and endpointtype',
        },
      );
    }
    return { token, storageUrl: endpoint.url };
  }

  async #request(action: string, url: string, options: Omit<SwiftRequest, 'path'>): Promise<SwiftAnswer> {
    const { method, headers = {}, body } = options;
    try {
      return await request(url, {
        method,
        headers,
        dispatcher: this.#agent,
        ...(body === undefined ? {} : { body: Buffer.from(body) }),
      });
    } catch (cause) {
      throw storeError({ store: 'swift', action, cause });
    }
  }
}

interface KeystoneAnswer {
  readonly token: {
    readonly catalog?: readonly {
      readonly type: string;
      readonly endpoints: readonly {
        readonly interface: string;
        readonly region?: string;
        readonly url: string;
      }[];
    }[];
  };
}

function keystoneRequest(settings: SwiftSettings): object {
  const { username, password, tenant, tenantid, trustid } = settings;
  const { applicationcredentialid: id, applicationcredentialsecret: secret } = settings;
  if (id !== undefined) {
    // It belongs to one project: a scope beside it is refused.
    const identity = { methods: ['application_credential'], application_credential: { id, secret } };
    return { auth: { identity } };
  }
  const domain = named(settings.domainid, settings.domain) ?? { id: 'default' };
  const project =
    tenantid !== undefined
      ? { id: tenantid }
      : tenant === undefined
        ? undefined
        : { name: tenant, domain: named(settings.tenantdomainid, settings.tenantdomain) ?? domain };
  const scope = trustid !== undefined ? { 'OS-TRUST:trust': { id: trustid } } : project && { project };
  return {
    auth: {
      identity: { methods: ['password'], password: { user: { name: username, domain, password } } },
      ...(scope ? { scope } : {}),
    },
  };
}

function named(id: string | undefined, name: string | undefined): object | undefined {
  if (id !== undefined) return { id };
  return name === undefined ? undefined : { name };
}

function refused(status: number): VarveError {
  return storeError({
    store: 'swift',
    action: 'authenticate',
    status: status < 300 ? 502 : status,
    cause: '',
  });
}
