/** The images of the storage benchmark: layers made once, as our drivers take them and as `docker load` does. */
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import {
  compressLayer,
  encodeEnd,
  encodeHeader,
  paddingAfter,
  type TarMetadata,
} from '../packages/varve/src/layer/index.ts';
import { type ChainID, chainId, type DiffID } from '../packages/varve/src/oci/index.ts';

export interface Layer {
  /** gzip. */
  readonly path: string;
  readonly diffId: DiffID;
}

export interface Image {
  readonly name: string;
  readonly layers: readonly Layer[];
  readonly chain: readonly ChainID[];
}

const none = Buffer.alloc(0);

function header(name: string, type: 'file' | 'directory' | 'symlink', size = 0, link = ''): Buffer {
  const metadata: TarMetadata = {
    type,
    name: Buffer.from(name),
    linkName: Buffer.from(link),
    mode: 0o755,
    uid: 0,
    gid: 0,
    userName: none,
    groupName: none,
    size,
    mtime: { seconds: 1_700_000_000, nanoseconds: 0 },
    deviceMajor: 0,
    deviceMinor: 0,
    xattrs: [],
  };
  return encodeHeader(metadata);
}

/** Half of it noise, so that gzip halves it, as it does programs. */
const pool = Buffer.concat(
  Array.from({ length: 256 }, () =>
    Buffer.concat([randomBytes(4096), Buffer.alloc(4096, 'all work and no play ')]),
  ),
);

/** About 11.8 KB on average. */
const sizes = [1000, 2000, 4000, 8000, 16_000, 40_000] as const;

/** Makes layers and images in a folder. */
export class Workshop {
  readonly #folder: string;
  readonly #files = new Map<string, Promise<Layer>>();
  #layers = 0;

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  /** Files of 1 to 40 KB, a hundred to a folder; made once. */
  async files(prefix: string, count: number): Promise<Layer> {
    const known = this.#files.get(prefix) ?? this.#makeFiles(prefix, count);
    this.#files.set(prefix, known);
    return await known;
  }

  async #makeFiles(prefix: string, count: number): Promise<Layer> {
    return await this.#layer((write) => {
      write(header(`${prefix}/`, 'directory'));
      for (let file = 0; file < count; file++) {
        const folder = `${prefix}/${Math.floor(file / 100)}`;
        if (file % 100 === 0) write(header(`${folder}/`, 'directory'));
        const size = sizes[file % sizes.length] as number;
        const at = (file * 4099) % (pool.length - size);
        write(header(`${folder}/${file}`, 'file', size));
        write(pool.subarray(at, at + size));
        write(Buffer.alloc(paddingAfter(size)));
      }
    });
  }

  async large(name: string, bytes: number): Promise<Layer> {
    return await this.#layer((write) => {
      write(header(name, 'file', bytes));
      for (let done = 0; done < bytes; done += pool.length) {
        write(pool.subarray(0, Math.min(pool.length, bytes - done)));
      }
      write(Buffer.alloc(paddingAfter(bytes)));
    });
  }

  /** A static busybox, so that a step can be run in the image. */
  async busybox(): Promise<Layer> {
    const program = readFileSync('/bin/busybox');
    return await this.#layer((write) => {
      for (const folder of ['bin', 'dev', 'etc', 'proc', 'sys', 'tmp'])
        write(header(`${folder}/`, 'directory'));
      write(header('bin/busybox', 'file', program.length));
      write(program);
      write(Buffer.alloc(paddingAfter(program.length)));
      for (const name of ['sh', 'dd', 'seq', 'mkdir', 'cat', 'find', 'true'])
        write(header(`bin/${name}`, 'symlink', 0, 'busybox'));
    });
  }

  image(name: string, layers: readonly Layer[]): Image {
    const chain: ChainID[] = [];
    for (const { diffId } of layers) chain.push(chainId(chain.at(-1), diffId));
    return { name: `bench/${name}`, layers, chain };
  }

  /** What `docker load` and `podman load` take: images with their layers as they are. */
  archive(images: readonly Image[]): string {
    const name = `archive-${this.#layers++}`;
    const folder = join(this.#folder, name);
    mkdirSync(folder);
    const manifest = images.map((image) => {
      const config = JSON.stringify({
        architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
        os: 'linux',
        config: { Cmd: ['sh'] },
        history: image.layers.map(() => ({ created: '2024-01-01T00:00:00Z', created_by: 'bench' })),
        rootfs: { type: 'layers', diff_ids: image.layers.map(({ diffId }) => diffId) },
        created: '2024-01-01T00:00:00Z',
      });
      const digest = createHash('sha256').update(config).digest('hex');
      writeFileSync(join(folder, `${digest}.json`), config);
      const layers = image.layers.map(({ path, diffId }) => {
        const file = `${diffId.slice(7)}.tar`;
        place(path, join(folder, file));
        return file;
      });
      return { Config: `${digest}.json`, RepoTags: [`${image.name}:latest`], Layers: layers };
    });
    writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
    const output = `${folder}.tar`;
    execFileSync('tar', ['-C', folder, '-cf', output, '.']);
    rmSync(folder, { recursive: true });
    return output;
  }

  async #layer(fill: (write: (bytes: Buffer) => void) => void): Promise<Layer> {
    const tar = join(this.#folder, `layer-${this.#layers++}`);
    const fd = openSync(tar, 'wx');
    let [waiting, size] = [[] as Buffer[], 0];
    const flush = (): void => {
      if (size > 0) writeSync(fd, Buffer.concat(waiting, size));
      [waiting, size] = [[], 0];
    };
    fill((bytes) => {
      waiting.push(bytes);
      size += bytes.length;
      if (size > 1 << 20) flush();
    });
    waiting.push(encodeEnd());
    size += encodeEnd().length;
    flush();
    closeSync(fd);
    const path = `${tar}.gz`;
    const { diffId } = await compressLayer({ path: tar, compression: 'none' }, path, 'gzip');
    rmSync(tar);
    return { path, diffId };
  }
}

function place(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') copyFileSync(from, to);
  }
}
