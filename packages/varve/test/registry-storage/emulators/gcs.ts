/**
 * The part of Google Cloud Storage's JSON API that the registry uses, strict about who asks and in what form:
 * https://cloud.google.com/storage/docs/json_api/v1. `gcs.test.ts` proves it with Google's own client.
 */
import { createHash, createVerify, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import {
  type EmulatedObject,
  type EmulatedRequest,
  EmulatedBucket,
  type Emulator,
  md5,
  Refusal,
  sendObject,
  startEmulator,
} from './objects.ts';

export interface GcsEmulator extends Emulator {
  /** A service account's key file. Its universe is not Google's, so the client signs its tokens itself. */
  readonly credentials: Readonly<Record<'client_email' | 'private_key' | 'universe_domain', string>>;
  readonly bucket: string;
}

const email = 'registry@emulator.test';
const bucketName = 'bucket';

export async function startGcs(): Promise<GcsEmulator> {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const bucket = new EmulatedBucket();
  const emulator = await startEmulator(
    (request, response) => handle(bucket, publicKey, request, response),
    ({ status, code, message }, response) => {
      const body = JSON.stringify({ error: { code: status, message, errors: [{ reason: code, message }] } });
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(body);
    },
  );
  return {
    ...emulator,
    bucket: bucketName,
    credentials: {
      client_email: email,
      private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      universe_domain: 'emulator.test',
    },
  };
}

const objectPath = /^\/(?:download\/)?storage\/v1\/b\/([^/]+)\/o\/([^/]+)$/;
const composePath = /^\/storage\/v1\/b\/([^/]+)\/o\/([^/]+)\/compose$/;
const listPath = /^\/storage\/v1\/b\/([^/]+)\/o$/;
const uploadPath = /^\/upload\/storage\/v1\/b\/([^/]+)\/o$/;

function handle(
  bucket: EmulatedBucket,
  key: KeyObject,
  request: EmulatedRequest,
  response: ServerResponse,
): void {
  const { method, url } = request;
  if (url.searchParams.has('X-Goog-Signature')) {
    requireSignature(key, request);
    return sendObject(
      find(bucket, decodeURIComponent(url.pathname.split('/').slice(2).join('/'))),
      request,
      response,
    );
  }
  requireToken(key, request);
  const route = `${method} ${url.pathname}`;
  const inBucket = (pattern: RegExp): string | undefined => {
    const match = pattern.exec(url.pathname);
    if (!match) return undefined;
    if (match[1] !== bucketName) throw new Refusal(404, 'notFound', 'no such bucket');
    return decodeURIComponent(match[2] ?? '');
  };
  const target = inBucket(composePath);
  if (target !== undefined && method === 'POST') return compose(bucket, target, request, response);
  if (inBucket(uploadPath) !== undefined && method === 'POST') return upload(bucket, request, response);
  if (inBucket(listPath) !== undefined && method === 'GET') return list(bucket, request, response);
  const name = inBucket(objectPath);
  if (name === undefined) throw new Refusal(404, 'notFound', route);
  if (method === 'DELETE') {
    find(bucket, name);
    bucket.objects.delete(name);
    response.writeHead(204).end();
  } else if (method === 'GET' && url.searchParams.get('alt') === 'media') {
    const object = find(bucket, name);
    // A composite object has no MD5.
    const hash = { 'x-goog-hash': `md5=${md5(object.bytes).toString('base64')}` };
    sendObject(object, request, response, object.isComposite ? {} : hash);
  } else if (method === 'GET') send(response, describe(name, find(bucket, name)));
  else throw new Refusal(405, 'methodNotAllowed');
}

function find(bucket: EmulatedBucket, name: string): EmulatedObject {
  const object = bucket.objects.get(name);
  if (!object) throw new Refusal(404, 'notFound', `No such object: ${bucketName}/${name}`);
  return object;
}

/** uploadType=multipart: the metadata and the bytes as multipart/related (RFC 2387). */
function upload(bucket: EmulatedBucket, request: EmulatedRequest, response: ServerResponse): void {
  const { url, headers, body } = request;
  const named = url.searchParams.get('name');
  if (url.searchParams.get('uploadType') === 'media' && named !== null) {
    return send(response, describe(named, bucket.put(named, body, headers['content-type'])));
  }
  if (url.searchParams.get('uploadType') !== 'multipart')
    throw new Refusal(400, 'invalid', 'unsupported uploadType');
  const boundary = /^multipart\/related;\s*boundary="?([^";]+)"?/.exec(headers['content-type'] ?? '')?.[1];
  const delimiter = Buffer.from(`--${boundary}`);
  const first = body.indexOf(delimiter);
  const second = body.indexOf(delimiter, first + delimiter.length);
  const end = body.lastIndexOf(Buffer.from(`\r\n--${boundary}--`));
  if (boundary === undefined || first < 0 || second < 0 || end < second) throw new Refusal(400, 'parseError');
  const content = (from: number): number => body.indexOf('\r\n\r\n', from) + 4;
  const metadata = JSON.parse(body.subarray(content(first), second).toString()) as {
    readonly name?: string;
    readonly contentType?: string;
    readonly md5Hash?: string;
  };
  const bytes = Buffer.from(body.subarray(content(second), end));
  const name = named ?? metadata.name;
  if (name === undefined) throw new Refusal(400, 'required', 'no name');
  if (metadata.md5Hash !== undefined && metadata.md5Hash !== md5(bytes).toString('base64')) {
    throw new Refusal(400, 'invalid', 'md5Hash does not match');
  }
  const sent = /content-type: *([^\r\n]+)/i.exec(body.subarray(second, content(second)).toString())?.[1];
  send(response, describe(name, bucket.put(name, bytes, metadata.contentType ?? sent)));
}

function compose(
  bucket: EmulatedBucket,
  target: string,
  request: EmulatedRequest,
  response: ServerResponse,
): void {
  const { sourceObjects = [], destination } = JSON.parse(request.body.toString()) as {
    readonly sourceObjects?: readonly { readonly name: string; readonly generation?: string }[];
    readonly destination?: { readonly contentType?: string };
  };
  if (sourceObjects.length < 1 || sourceObjects.length > 32) {
    throw new Refusal(400, 'invalid', 'The number of source components must be between 1 and 32');
  }
  const parts = sourceObjects.map(({ name, generation }) => {
    const source = find(bucket, name);
    if (generation !== undefined && Number(generation) !== source.generation) {
      throw new Refusal(404, 'notFound', `no generation ${generation} of ${name}`);
    }
    return source.bytes;
  });
  send(response, describe(target, bucket.put(target, Buffer.concat(parts), destination?.contentType, true)));
}

function list(bucket: EmulatedBucket, { url }: EmulatedRequest, response: ServerResponse): void {
  const limit = Math.min(Number(url.searchParams.get('maxResults') ?? 1000), 1000);
  const after = Buffer.from(url.searchParams.get('pageToken') ?? '', 'base64url').toString();
  const { keys, more } = bucket.page(url.searchParams.get('prefix') ?? '', after, limit);
  send(response, {
    kind: 'storage#objects',
    items: keys.map((name) => describe(name, find(bucket, name))),
    ...(more ? { nextPageToken: Buffer.from(keys.at(-1) ?? '').toString('base64url') } : {}),
  });
}

function describe(
  name: string,
  { bytes, type, modifiedAt, generation, isComposite }: EmulatedObject,
): object {
  return {
    kind: 'storage#object',
    bucket: bucketName,
    name,
    size: String(bytes.length),
    contentType: type,
    updated: modifiedAt.toISOString(),
    generation: String(generation),
    metageneration: '1',
    ...(isComposite ? {} : { md5Hash: md5(bytes).toString('base64') }),
  };
}

function send(response: ServerResponse, body: object): void {
  response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
}

/** A token that the service account signed itself: https://google.aip.dev/auth/4111 */
function requireToken(key: KeyObject, { headers }: EmulatedRequest): void {
  const [head = '', claims = '', signature = ''] = (headers.authorization ?? '')
    .replace(/^Bearer /, '')
    .split('.');
  const signed = createVerify('RSA-SHA256').update(`${head}.${claims}`);
  if (!signed.verify(key, signature, 'base64url')) throw new Refusal(401, 'authError', 'Invalid Credentials');
  const { iss, exp, iat } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as {
    readonly iss: string;
    readonly exp: number;
    readonly iat: number;
  };
  const now = Date.now() / 1000;
  if (iss !== email || exp < now || iat > now + 60 || exp - iat > 3600) {
    throw new Refusal(401, 'authError', 'Invalid Credentials');
  }
}

/** https://cloud.google.com/storage/docs/authentication/canonical-requests */
function requireSignature(key: KeyObject, { method, url }: EmulatedRequest): void {
  const query = [...url.searchParams]
    .filter(([name]) => name !== 'X-Goog-Signature')
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const encode = (text: string): string =>
    encodeURIComponent(text).replace(
      /[!'()*]/g,
      (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
    );
  const get = (name: string): string => url.searchParams.get(name) ?? '';
  const canonical = [
    method,
    url.pathname,
    query.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&'),
    // The client signs the name without the port.
    `host:${url.hostname}`,
    '',
    get('X-Goog-SignedHeaders'),
    'UNSIGNED-PAYLOAD',
  ].join('\n');
  const [signer = '', ...scope] = get('X-Goog-Credential').split('/');
  const text = [
    'GOOG4-RSA-SHA256',
    get('X-Goog-Date'),
    scope.join('/'),
    createHash('sha256').update(canonical).digest('hex'),
  ].join('\n');
  const valid = createVerify('RSA-SHA256').update(text).verify(key, get('X-Goog-Signature'), 'hex');
  const signedAt = Date.parse(
    get('X-Goog-Date').replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'),
  );
  const isExpired = !(signedAt + Number(get('X-Goog-Expires')) * 1000 > Date.now());
  if (!valid || isExpired || signer !== email) throw new Refusal(403, 'SignatureDoesNotMatch');
}
