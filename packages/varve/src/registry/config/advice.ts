import type { RegistryConfig } from './schema.ts';
import { parseAddress } from './values.ts';

/** Something that is allowed and will surprise. */
export interface Advice {
  readonly path: readonly string[];
  readonly message: string;
}

/** What to tell about a configuration that is valid. */
export function adviceOn({ auth, http }: RegistryConfig): Advice[] {
  const advice: Advice[] = [];
  if (!auth) return advice;
  const host = parseAddress(http.addr)?.host;
  const local = host !== undefined && /^(?:127\.|localhost$|::1$)/.test(host);
  if (auth.htpasswd && !http.tls && !local) {
    advice.push({
      path: ['auth', 'htpasswd'],
      message: 'passwords come in clear: set http.tls, or listen on loopback behind a proxy that has it',
    });
  }
  const publicRule = auth.rules?.some(
    ({ who, effect }) =>
      effect === 'allow' && who.some((name) => name === 'anonymous' || name === 'everyone'),
  );
  if (publicRule && !auth.tokenserver && !auth.token && (auth.htpasswd ?? auth.oidc)) {
    advice.push({
      path: ['auth', 'rules'],
      message: 'docker pulls nothing without a login while the challenge is Basic: add auth.tokenserver',
    });
  }
  return advice;
}
