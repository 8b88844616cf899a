/** A version of the Docker Engine API, `1.44` as 1044: so that they compare as numbers. */
export type ApiVersion = number;

/** `1.44` as a number that compares. */
export function apiVersion(text: string): ApiVersion {
  const [major = '0', minor = '0'] = text.split('.');
  return Number(major) * 1000 + Number(minor);
}

export const newestVersion = '1.51';
export const oldestVersion = '1.24';

/** Where answers change shape or a parameter is understood, in one place (moby api/server/router). */
export const since = {
  /** `application/vnd.docker.multiplexed-stream` for logs and attach. */
  streamMediaTypes: apiVersion('1.42'),
  /** A dangling image has no tags instead of `<none>:<none>`. */
  emptyRepoTags: apiVersion('1.43'),
  /** `DNSNames`, no short id among the aliases; no `VirtualSize`. */
  dnsNames: apiVersion('1.44'),
  /** Events of an image's creation. */
  imageCreateEvents: apiVersion('1.46'),
  /** The number of containers of an image in its list. */
  imageContainers: apiVersion('1.51'),
} as const;

/** What is wrong with the version of a path; undefined when it is fine. */
export function versionProblem(text: string): string | undefined {
  const version = apiVersion(text);
  if (version < apiVersion(oldestVersion)) {
    return `client version ${text} is too old. Minimum supported API version is ${oldestVersion}, please upgrade your client to a newer version`;
  }
  if (version > apiVersion(newestVersion)) {
    return `client version ${text} is too new. Maximum supported API version is ${newestVersion}`;
  }
  return undefined;
}
