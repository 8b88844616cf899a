import type { Exchange } from './exchange.ts';
import type { ApiVersion } from './versions.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE' | 'HEAD' | 'OPTIONS';

/** One line of the table of routes. */
export interface Route {
  readonly method: Method;
  /** `/containers/{id}/json`; `{name...}` takes slashes as well. */
  readonly path: string;
  /** The first API version that has it; all when absent. */
  readonly since?: ApiVersion;
  /** Takes the connection over, so an Upgrade header is honoured. */
  readonly hijacks?: true;
  readonly handle: (exchange: Exchange) => Promise<void> | void;
}

interface Compiled {
  readonly route: Route;
  readonly pattern: RegExp;
  readonly names: readonly string[];
}

function compile(route: Route): Compiled {
  const names: string[] = [];
  const source = route.path.replace(
    /[.*+?^$()|[\]\\]|\{([a-z]+)(\.\.\.)?\}/g,
    (text, name?: string, rest?: string) => {
      if (name === undefined) return `\\${text}`;
      names.push(name);
      return rest ? '(.+)' : '([^/]+)';
    },
  );
  return { route, pattern: new RegExp(`^${source}/?$`), names };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Finds the route of a request. Names of images may hold slashes, plain or as %2F. */
export class RouteTable {
  readonly #routes: readonly Compiled[];

  constructor(routes: readonly Route[]) {
    this.#routes = routes.map(compile);
  }

  /** @param path without version and query. */
  find(
    method: string,
    path: string,
    version: ApiVersion,
  ): { readonly route: Route; readonly parameters: Record<string, string> } | undefined {
    for (const { route, pattern, names } of this.#routes) {
      if (route.method !== method || (route.since !== undefined && version < route.since)) continue;
      const match = pattern.exec(path);
      if (!match) continue;
      return {
        route,
        parameters: Object.fromEntries(
          names.map((name, index) => [name, decode(match[index + 1] as string)]),
        ),
      };
    }
    return undefined;
  }
}
