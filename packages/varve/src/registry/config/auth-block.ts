import { z } from 'zod';
import { duration } from './values.ts';

const webAddress = z.string().refine(
  (text) => {
    const url = URL.parse(text);
    const plain = /^[!#-[\]-~]+$/.test(text);
    return plain && url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.hash === '';
  },
  { error: 'not a web address such as https://auth.example.com/token' },
);
const path = z.string().min(1);
const quotable = z
  .string()
  .regex(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/, { error: 'not text that fits in quotes' });

/** The algorithms of distribution's `signingalgorithms`. */
const algorithms = z
  .array(
    z.enum(['EdDSA', 'RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512'], {
      error: 'not an algorithm with a public key, such as ES256 or RS256',
    }),
  )
  .min(1)
  .default(['EdDSA', 'RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512'])
  .describe('Algorithms a token may be signed with.');

const htpasswd = z.strictObject({
  realm: quotable.default('registry').describe('What the client shows when it asks for a password.'),
  path: path.describe('File of users with bcrypt hashes (htpasswd -B); read again when it changes.'),
});

const token = z
  .strictObject({
    realm: webAddress.optional().describe('Where clients get tokens.'),
    service: quotable.describe('Name of this registry: the audience of its tokens.'),
    issuer: z.string().min(1).describe('Whose tokens are believed.'),
    rootcertbundle: path
      .optional()
      .describe('PEM certificates that a token’s x5c leads to, or whose keys sign.'),
    jwks: z.string().min(1).optional().describe('JWK set: a file, or a URL (https, or this machine).'),
    publickeys: z.array(path).default([]).describe('PEM files of public keys.'),
    signingalgorithms: algorithms,
    autoredirect: z.boolean().default(false).describe('The realm is on the host the client asked.'),
    autoredirectpath: z
      .string()
      .regex(/^\/[!-~]*$/)
      .default('/auth/token')
      .describe('Path of the realm with autoredirect.'),
  })
  .superRefine((value, context) => {
    if (value.realm === undefined && !value.autoredirect) {
      context.addIssue({ code: 'custom', path: ['realm'], message: 'needed without autoredirect' });
    }
    if (value.rootcertbundle === undefined && value.jwks === undefined && value.publickeys.length === 0) {
      context.addIssue({
        code: 'custom',
        path: [],
        message: 'needs keys: rootcertbundle, jwks or publickeys',
      });
    }
  });

const tokenserver = z.strictObject({
  realm: webAddress
    .optional()
    .describe('Address of /token as clients see it; by default on the host the client asked.'),
  service: quotable.default('varve-registry').describe('Name of this registry: the audience of its tokens.'),
  issuer: z.string().min(1).default('varve-registry').describe('Who signs.'),
  expiration: duration('5m', 'Life of a token.'),
  refreshexpiration: duration('720h', 'Life of a refresh token: what docker login keeps.'),
  rotation: duration('720h', 'Age at which the signing key is followed by a new one.'),
  keys: path.optional().describe('Folder of the signing keys; by default token-keys beside the records.'),
});

const conditions = z.record(z.string().min(1), z.union([z.string(), z.array(z.string()).min(1)]));

const workload = z
  .strictObject({
    when: conditions
      .refine((value) => Object.keys(value).length > 0, {
        error: 'needs a condition: it would mean everyone',
      })
      .describe('Globs that claims have to match, all of them.'),
    name: z.string().min(1).default('{sub}').describe('What the log calls it; {claim} is replaced.'),
    robot: z.string().min(1).optional().describe('The robot whose grants it has.'),
    groups: z.array(z.string().min(1)).default([]).describe('Groups it is in.'),
  })
  .refine((value) => value.robot !== undefined || value.groups.length > 0, {
    error: 'needs robot or groups',
  });

const oidcIssuer = z
  .strictObject({
    issuer: webAddress.describe('The provider; its discovery document is asked for keys.'),
    audience: z
      .union([
        z
          .string()
          .min(1)
          .transform((text) => [text]),
        z.array(z.string().min(1)).min(1),
      ])
      .describe('Client ids, one of which a token has to be for.'),
    jwks: z.string().min(1).optional().describe('JWK set (file or URL) instead of discovery.'),
    algorithms,
    people: z
      .strictObject({
        username: z.string().min(1).default('sub').describe('Claim with the name.'),
        groups: z.string().min(1).optional().describe('Claim with the groups.'),
        prefix: z.string().default('oidc:').describe('Before names and groups, to tell them from others.'),
        when: conditions.default({}).describe('Globs that claims have to match, all of them.'),
      })
      .optional(),
    workloads: z.array(workload).default([]).describe('CI jobs and the like; the first that matches.'),
  })
  .refine((value) => value.people !== undefined || value.workloads.length > 0, {
    error: 'needs people or workloads',
  });

const certificate = z.strictObject({
  name: z
    .enum(['commonname', 'dns', 'email', 'uri'])
    .default('commonname')
    .describe('What of a client certificate is the user’s name.'),
  groups: z
    .enum(['none', 'organization', 'organizationalunit'])
    .default('none')
    .describe('What of its subject are the groups.'),
});

const who = z.string().regex(/^(?:everyone|anonymous|authenticated|(?:user|group|robot|workload):.+)$/, {
  error: 'not everyone, anonymous, authenticated, user:…, group:…, robot:… or workload:…',
});
const repositoryGlob = z
  .string()
  .max(255)
  .regex(/^[a-z0-9._\-/*?]*(?:\$\{user\}[a-z0-9._\-/*?]*)*$/, { error: 'not a glob of repository names' })
  .min(1);

const rule = z.strictObject({
  name: z.string().min(1).max(100).optional().describe('What explanations call it.'),
  who: z
    .array(who)
    .min(1)
    .describe('Any of these: everyone, anonymous, authenticated, user:…, group:…, robot:…, workload:….'),
  repositories: z
    .array(repositoryGlob)
    .min(1)
    .describe('Globs; ** crosses slashes, ${user} is the user’s name.'),
  actions: z
    .array(z.enum(['pull', 'push', 'delete', '*'], { error: 'not pull, push, delete or *' }))
    .min(1)
    .describe('pull, push, delete; * is all, and on ** makes an administrator.'),
  effect: z.enum(['allow', 'deny']).default('allow').describe('A deny wins over every allow.'),
});

/** The block `auth`: distribution's `htpasswd` and `token`, and what it has not. */
export const authBlock = z
  .strictObject({
    htpasswd: htpasswd.optional(),
    token: token.optional(),
    tokenserver: tokenserver.optional(),
    oidc: z.array(oidcIssuer).optional().describe('OpenID Connect providers.'),
    certificate: certificate.optional(),
    robots: z
      .strictObject({ enabled: z.boolean().default(true).describe('Let robot accounts log in.') })
      .prefault({}),
    groups: z
      .record(z.string().min(1), z.array(z.string().min(1)))
      .default({})
      .describe('Members of groups: alice, robot:ci.'),
    rules: z.array(rule).optional().describe('Who may do what to which repositories.'),
    audit: z.enum(['all', 'denied', 'none']).default('all').describe('Decisions that are logged.'),
  })
  .superRefine((value, context) => {
    if (value.token && value.tokenserver) {
      context.addIssue({
        code: 'custom',
        path: ['tokenserver'],
        message: 'there is one realm: token names an outside server, tokenserver is this one',
      });
    }
    if (value.oidc && !value.rules) {
      context.addIssue({
        code: 'custom',
        path: ['oidc'],
        message: 'needs rules: without them everyone the provider knows could do everything',
      });
    }
    const ways = [value.htpasswd, value.token, value.tokenserver, value.oidc, value.certificate, value.rules];
    if (ways.every((way) => way === undefined)) {
      context.addIssue({ code: 'custom', path: [], message: 'names no way to authenticate and no rules' });
    }
  })
  .optional();
