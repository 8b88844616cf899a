import { html } from './html.ts';
import type { PageContent } from './layout.ts';
import { homePath, loginPath } from './links.ts';
import { note, problem } from './parts.ts';

/** The login form. @param options.wrong what was wrong with what was sent before */
export function loginPage(options: {
  readonly next: string;
  readonly possible: boolean;
  readonly wrong?: string;
}): PageContent {
  if (!options.possible) {
    return { title: 'Log in', main: note('There is nobody to log in as: this registry has no passwords.') };
  }
  return {
    title: 'Log in',
    main: html`${options.wrong !== undefined && html`<div role="alert">${problem(options.wrong)}</div>`}
<form action="${loginPath}" method="post">
<input type="hidden" name="next" value="${options.next}">
<div class="field"><label for="user">User, or robot$name</label>
<input id="user" name="user" autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="256" required></div>
<div class="field"><label for="password">Password, or secret</label>
<input id="password" name="password" type="password" autocomplete="current-password" maxlength="16384" required></div>
<p class="actions"><button>Log in</button></p>
</form>`,
  };
}

/** Where a login goes: to a page of ours, whatever the form says. */
export function safeNext(next: string | null): string {
  if (next === null || !next.startsWith(homePath) || next.length > 2000) return homePath;
  // What a browser would read as another host, or as another line of the head.
  return /^\/ui\/[A-Za-z0-9._~:/?=&%+@$-]*$/.test(next) ? next : homePath;
}
