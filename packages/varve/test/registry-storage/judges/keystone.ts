import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { freePorts, get, Judge } from './processes.ts';

const unpacked = resolve(import.meta.dirname, '../../../../../.cache/keystone');

/** Where Keystone's Python is: unpacked by scripts/setup --test, not installed. */
export const keystonePath = `${unpacked}/usr/lib/python3/dist-packages`;

/** Why it cannot run here. It is a hundred packages: a machine that cannot get them tests without it. */
export const keystoneMissing: string | false = existsSync(`${keystonePath}/keystone`)
  ? false
  : 'Keystone is not unpacked in .cache/keystone (scripts/setup --test)';

// What keystone-manage does in three runs, and the server, in one process: half of the time is its imports.
const serve = `import os, sys, wsgiref.simple_server
from keystone.cmd import cli
from keystone.server.wsgi import initialize_public_application
conf, port = sys.argv[1:]

def manage(*command):
    child = os.fork()
    if child == 0:
        sys.argv = ['keystone-manage', '--config-file', conf, *command]
        try:
            cli.main(sys.argv)
        except BaseException as error:
            print(command[0], repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        sys.exit(command[0] + ' failed')

manage('db_sync')
manage('fernet_setup', '--keystone-user', 'root', '--keystone-group', 'root')
manage('bootstrap', '--bootstrap-password', 'testing', '--bootstrap-region-id', 'here',
       '--bootstrap-public-url', 'http://127.0.0.1:%s/v3' % port)
os.environ['OS_KEYSTONE_CONFIG_FILES'] = conf
sys.argv[1:] = []
wsgiref.simple_server.make_server('127.0.0.1', int(port), initialize_public_application()).serve_forever()
`;

/** OpenStack's identity service, with the user and project `admin` of the domain `default`. */
export interface KeystoneServer extends AsyncDisposable {
  /** Ends with `/v3`. */
  readonly url: string;
  readonly user: string;
  readonly password: string;
  readonly region: string;
  /** A call of its API as the administrator. @returns the JSON of its answer */
  call<T>(method: string, path: string, body?: object): Promise<T>;
  /** Names an object store in the catalogue; `$(project_id)s` stands for the project's id. */
  addObjectStore(url: string): Promise<void>;
  /** Of the administrator in its project. */
  newApplicationCredential(name: string): Promise<{ readonly id: string; readonly secret: string }>;
}

/** @param tokenSeconds how long its tokens live */
export async function startKeystone(tokenSeconds: number): Promise<KeystoneServer> {
  const judge = new Judge('keystone');
  try {
    const [port] = await freePorts(1);
    mkdirSync(judge.path('fernet'), { mode: 0o700 });
    writeFileSync(judge.path('serve.py'), serve);
    writeFileSync(judge.path('keystone.conf'), config(judge.folder, tokenSeconds));
    const env = { PYTHONPATH: keystonePath };
    judge.start('keystone', ['/usr/bin/python3', 'serve.py', judge.path('keystone.conf'), `${port}`], env);
    const url = `http://127.0.0.1:${port}/v3`;
    await judge.until('keystone', () => get(url));
    return new Keystone(url, judge);
  } catch (error) {
    await judge[Symbol.asyncDispose]();
    throw error;
  }
}

class Keystone implements KeystoneServer {
  readonly url: string;
  readonly user = 'admin';
  readonly password = 'testing';
  readonly region = 'here';
  readonly #judge: Judge;

  constructor(url: string, judge: Judge) {
    this.url = url;
    this.#judge = judge;
  }

  async call<T>(method: string, path: string, body?: object): Promise<T> {
    const { token } = await this.#login();
    return (await this.#send(method, path, { 'X-Auth-Token': token }, body)).json as T;
  }

  async addObjectStore(url: string): Promise<void> {
    const { service } = await this.call<{ service: { id: string } }>('POST', '/services', {
      service: { type: 'object-store', name: 'swift' },
    });
    const endpoint = { service_id: service.id, interface: 'public', region: this.region, url };
    await this.call('POST', '/endpoints', { endpoint });
  }

  async newApplicationCredential(name: string): Promise<{ readonly id: string; readonly secret: string }> {
    const { userId } = await this.#login();
    const { application_credential } = await this.call<{
      application_credential: { id: string; secret: string };
    }>('POST', `/users/${userId}/application_credentials`, { application_credential: { name } });
    return application_credential;
  }

  async #login(): Promise<{ readonly token: string; readonly userId: string }> {
    const domain = { id: 'default' };
    const user = { name: this.user, domain, password: this.password };
    const { token, json } = await this.#send(
      'POST',
      '/auth/tokens',
      {},
      {
        auth: {
          identity: { methods: ['password'], password: { user } },
          scope: { project: { name: 'admin', domain } },
        },
      },
    );
    return { token, userId: (json as { token: { user: { id: string } } }).token.user.id };
  }

  async #send(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body?: object,
  ): Promise<{ readonly token: string; readonly json: unknown }> {
    const answer = await fetch(this.url + path, {
      method,
      headers: { ...headers, 'Content-Type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return { token: answer.headers.get('x-subject-token') ?? '', json: text === '' ? {} : JSON.parse(text) };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#judge[Symbol.asyncDispose]();
  }
}

function config(folder: string, tokenSeconds: number): string {
  return `[DEFAULT]
use_stderr = true
default_log_levels = keystone=WARNING
[database]
connection = sqlite:///${folder}/keystone.db
[token]
provider = fernet
expiration = ${tokenSeconds}
allow_expired_window = 0
[identity]
password_hash_rounds = 4
[fernet_tokens]
key_repository = ${folder}/fernet
[fernet_receipts]
key_repository = ${folder}/receipts
[credential]
key_repository = ${folder}/credential
`;
}
