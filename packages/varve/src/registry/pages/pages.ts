import {
  type AccessControl,
  type AccessRequest,
  anonymous,
  type Identity,
  type Sessions,
  subjectOf,
} from '../auth/index.ts';
import { RegistryError } from '../errors.ts';
import type { LogoutRecords } from '../metadata/index.ts';
import { blobPage } from './blob-page.ts';
import { confirmDeletePage, deleteSubject } from './delete-page.ts';
import { type Frame, type PageContent, renderPage } from './layout.ts';
import { homePath, loginPath, logoutPath, repositoryLink, withQuery } from './links.ts';
import { listPage, searchPage } from './list-pages.ts';
import { loginPage, safeNext } from './login-page.ts';
import { manifestPage } from './manifest-page.ts';
import { problem } from './parts.ts';
import { type PagePath, parsePagePath } from './paths.ts';
import { repositoryPage } from './repository-page.ts';
import { requirePlainHost, requireSameOrigin } from './same-origin.ts';
import type { SessionCookies } from './session-cookies.ts';
import { stylesheet } from './style.ts';
import type { PageAnswer, PageRequest, PageSources } from './types.ts';

/**
 * Nothing but the stylesheet is loaded, nothing runs, forms go nowhere else, and no other page may frame these. The referrer
 * policy is not `no-referrer`: with that, browsers send forms with `Origin: null`.
 */
const securityHeaders: readonly string[] = [
  'Content-Security-Policy',
  "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'X-Frame-Options',
  'DENY',
  'Referrer-Policy',
  'same-origin',
  'Cross-Origin-Opener-Policy',
  'same-origin',
  'Cross-Origin-Resource-Policy',
  'same-origin',
];

/** The pages of a registry: who a browser's session belongs to, and an answer for every request. */
export class Pages {
  readonly #cookies: SessionCookies;

  readonly #logouts: LogoutRecords;

  constructor(cookies: SessionCookies, logouts: LogoutRecords) {
    this.#cookies = cookies;
    this.#logouts = logouts;
  }

  /** Who asks: by the session where there is one, and otherwise as everywhere. @throws RegistryError */
  async identify(
    access: AccessControl,
    sessions: Sessions | undefined,
    request: AccessRequest,
  ): Promise<Identity> {
    const session = request.headers.authorization === undefined ? this.#cookies.read(request) : undefined;
    if (!session || !sessions || (await this.#logouts.has(session.id))) return await access.identify(request);
    return await sessions.resume(session.holder, request);
  }

  /** Answers; what is refused or goes wrong is a page, too, but for faults of ours, which are thrown. */
  async answer(request: PageRequest, sources: PageSources): Promise<PageAnswer> {
    try {
      return await this.#answer(request, sources);
    } catch (error) {
      if (!(error instanceof RegistryError) || error.status >= 500) throw error;
      const { viewer: _, ...facts } = request;
      return this.failure(facts, sources.sessions, error);
    }
  }

  /** What a browser is told of a failure; who is nobody yet is asked to log in. */
  failure(
    request: Pick<PageRequest, 'method' | 'path' | 'query' | 'identity' | 'asking'>,
    sessions: Sessions | undefined,
    error: RegistryError,
  ): PageAnswer {
    const { identity, method, path, query } = request;
    if (error.status === 401 && sessions && identity.kind === 'anonymous' && !identity.refusal) {
      const next =
        method === 'GET' || method === 'HEAD'
          ? `${path}${query.size > 0 ? `?${query.toString()}` : ''}`
          : homePath;
      return redirect(withQuery(loginPath, { next }));
    }
    const headers = Object.entries(error.headers).flat();
    const content = {
      title: titles[error.status] ?? 'That did not work',
      main: problem(`${error.message}.`),
    };
    return this.#page(request, sessions, content, { status: error.status, headers });
  }

  async #answer(request: PageRequest, sources: PageSources): Promise<PageAnswer> {
    const { method } = request;
    if (request.path === '/ui') return redirect(homePath);
    const path = parsePagePath(request.path.slice(homePath.length));
    if (!path) throw new RegistryError('NAME_UNKNOWN', { message: 'there is no such page' });
    if (path.kind === 'style') return styleAnswer;
    if (method === 'POST') return await this.#post(request, sources, path);
    if (method !== 'GET' && method !== 'HEAD') {
      throw new RegistryError('UNSUPPORTED', { headers: { Allow: 'GET, HEAD, POST' } });
    }
    if (path.kind === 'logout') return redirect(homePath);
    // A wrong password in Authorization gets no page that looks like a login.
    if (request.identity.refusal) await request.viewer.require({ type: 'registry', name: 'base' }, 'pull');
    return this.#page(request, sources.sessions, await this.#content(request, sources, path));
  }

  async #content(request: PageRequest, sources: PageSources, path: PagePath): Promise<PageContent> {
    switch (path.kind) {
      case 'namespace':
        return await listPage(request, sources, path.name);
      case 'search':
        return await searchPage(request, sources);
      case 'login':
        return loginPage({
          next: safeNext(request.query.get('next')),
          possible: sources.sessions !== undefined,
        });
      case 'repository':
        return await repositoryPage(request, sources, path.repository);
      case 'tag':
      case 'manifest':
        if (request.query.get('confirm') === 'delete') {
          return await confirmDeletePage(request, sources, path, this.#token(request, request.path));
        }
        return await manifestPage(request, sources, path);
      case 'blob':
        return await blobPage(request, sources, path);
      case 'home':
      case 'logout':
      case 'style':
        return await listPage(request, sources, '');
    }
  }

  async #post(request: PageRequest, sources: PageSources, path: PagePath): Promise<PageAnswer> {
    requireSameOrigin(request);
    const form = await request.form();
    if (path.kind === 'login') return await this.#login(request, sources, form);
    if (path.kind === 'logout') {
      this.#requireToken(request, form);
      const session = this.#cookies.read(request.asking);
      if (session) await this.#logouts.add(session.id, session.expiresAt, Date.now());
      return redirect(homePath, ['Set-Cookie', this.#cookies.close(request.asking)]);
    }
    if (path.kind !== 'tag' && path.kind !== 'manifest') {
      throw new RegistryError('UNSUPPORTED', { headers: { Allow: 'GET, HEAD' } });
    }
    requirePlainHost(request);
    this.#requireToken(request, form);
    await deleteSubject(request, sources, path, form);
    return redirect(repositoryLink(path.repository));
  }

  async #login(request: PageRequest, { sessions }: PageSources, form: URLSearchParams): Promise<PageAnswer> {
    const next = safeNext(form.get('next'));
    if (!sessions) throw new RegistryError('UNSUPPORTED', { message: 'nobody can log in here' });
    const identity = await sessions.login(form.get('user') ?? '', form.get('password') ?? '', request.asking);
    if (identity.refusal || identity.kind === 'anonymous') {
      const wrong = `${identity.refusal?.reason ?? 'a user name is needed'}.`;
      return this.#page(request, sessions, loginPage({ next, possible: true, wrong }), { status: 403 });
    }
    return redirect(next, [
      'Set-Cookie',
      this.#cookies.open(await sessions.holderOf(identity), request.asking),
    ]);
  }

  #page(
    request: Pick<PageRequest, 'path' | 'identity' | 'asking'>,
    sessions: Sessions | undefined,
    content: PageContent,
    { status = 200, headers = [] as readonly string[] } = {},
  ): PageAnswer {
    const session = this.#cookies.read(request.asking);
    const frame: Frame = {
      identity: request.identity.refusal ? anonymous : request.identity,
      canLogIn: sessions !== undefined,
      logoutToken: session && this.#token(request, logoutPath),
      path: request.path,
    };
    return {
      status,
      headers: [
        'Content-Type',
        'text/html; charset=utf-8',
        'Cache-Control',
        'no-store',
        ...securityHeaders,
        ...headers,
      ],
      body: renderPage(frame, content),
    };
  }

  #token(request: Pick<PageRequest, 'identity' | 'asking'>, action: string): string {
    return this.#cookies.formToken(this.#client(request), action);
  }

  /** @throws RegistryError `DENIED` */
  #requireToken(request: PageRequest, form: URLSearchParams): void {
    if (this.#cookies.checkFormToken(form.get('token') ?? '', this.#client(request), request.path)) return;
    throw new RegistryError('DENIED', {
      message: 'the form is too old, or not from here: open the page again',
    });
  }

  #client({ identity, asking }: Pick<PageRequest, 'identity' | 'asking'>): string {
    return `${this.#cookies.read(asking)?.id ?? ''} ${subjectOf(identity)}`;
  }
}

const titles: Readonly<Record<number, string>> = {
  401: 'Who are you?',
  403: 'Not allowed',
  404: 'Not here',
  409: 'Not so',
  429: 'Too many requests',
};

function redirect(location: string, headers: readonly string[] = []): PageAnswer {
  return {
    status: 303,
    headers: ['Location', location, 'Cache-Control', 'no-store', ...securityHeaders, ...headers],
  };
}

const styleAnswer: PageAnswer = {
  status: 200,
  headers: [
    'Content-Type',
    'text/css; charset=utf-8',
    'Cache-Control',
    'public, max-age=31536000, immutable',
    ...securityHeaders,
  ],
  body: stylesheet,
};
