import { subjectOf, type Identity } from '../auth/index.ts';
import { type Content, type Html, html } from './html.ts';
import {
  homePath,
  loginPath,
  logoutPath,
  namespaceLink,
  repositoryLink,
  searchPath,
  stylePath,
  withQuery,
} from './links.ts';
import { stylesheetVersion } from './style.ts';

/** What stands around a page. */
export interface Frame {
  readonly identity: Identity;
  /** Whether a login form is of use. */
  readonly canLogIn: boolean;
  /** For the logout form; undefined without a session. */
  readonly logoutToken: string | undefined;
  /** Where a login comes back to. */
  readonly path: string;
}

export interface PageContent {
  readonly title: string;
  /** Where the page is, from the first page on; without the page itself. */
  readonly trail?: readonly Step[];
  /** In the field of the search form. */
  readonly search?: string;
  readonly main: Content;
}

export interface Step {
  readonly text: string;
  readonly link: string;
}

/** A whole page: one heading, landmarks, a link over the header for those who use the keyboard. */
export function renderPage(frame: Frame, { title, trail = [], search, main }: PageContent): string {
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} · registry</title>
<link rel="stylesheet" href="${stylePath}?v=${stylesheetVersion}">
<link rel="icon" href="data:,">
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header>
<a class="home" href="${homePath}">Registry</a>
<form class="search" role="search" action="${searchPath}" method="get">
<label class="hidden" for="search">Repositories and tags</label>
<input id="search" type="search" name="q" maxlength="200" placeholder="name or name:tag" value="${search}">
<button>Search</button>
</form>
${account(frame)}
</header>
<main id="main" tabindex="-1">
${trail.length > 0 && trailOf(trail)}
<h1>${title}</h1>
${main}
</main>
<footer>Served by varve registry.</footer>
</body>
</html>
`;
  return page.toString();
}

function account({ identity, canLogIn, logoutToken, path }: Frame): Content {
  if (identity.kind === 'anonymous') {
    return canLogIn && html`<a href="${withQuery(loginPath, { next: path })}">Log in</a>`;
  }
  const logout =
    logoutToken !== undefined &&
    html`<input type="hidden" name="token" value="${logoutToken}"><button>Log out</button>`;
  return html`<form action="${logoutPath}" method="post"><span>${subjectOf(identity)}</span>${logout}</form>`;
}

function trailOf(steps: readonly Step[]): Html {
  const items = steps.map(({ text, link }) => html`<li><a href="${link}">${text}</a></li>`);
  return html`<nav class="trail" aria-label="Where this is"><ol>${items}</ol></nav>`;
}

/** The way to what is in a repository: its namespaces, and itself. */
export function trailTo(repository: string, options: { readonly inside: boolean }): Step[] {
  const parts = repository.split('/');
  const namespaces = parts.slice(0, -1).map((text, index) => {
    return { text, link: namespaceLink(parts.slice(0, index + 1).join('/')) };
  });
  const own = options.inside ? [{ text: parts.at(-1) ?? '', link: repositoryLink(repository) }] : [];
  return [{ text: 'Repositories', link: homePath }, ...namespaces, ...own];
}
