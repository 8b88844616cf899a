/**
 * The image store without an engine: imports a tar of a root file system, lists what is there and saves it as an archive
 * that `docker load` takes. Needs root on Linux, since the storage driver unpacks owners and devices.
 *   node examples/library/local-store.ts root.tar app:1 app.tar
 */
import { createReadStream, createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { openContentStore } from 'varve/content';
import { RegistryClient } from 'varve/distribution';
import { LocalImageStore } from 'varve/image';
import { State } from 'varve/state';
import { Overlay2Driver } from 'varve/storage';

const [tar = 'root.tar', reference = 'app:1', output = 'app.tar'] = process.argv.slice(2);
const root = mkdtempSync(join(tmpdir(), 'varve-example-'));
const state = new State(join(root, 'state.db'));
const content = openContentStore({ root, state });
const driver = new Overlay2Driver(join(root, 'snapshots'));
const images = new LocalImageStore({ state, content, driver, client: new RegistryClient() });

const image = await images.import(createReadStream(tar), { reference, config: { Cmd: ['sh'] } });
for (const { id, tags, size } of images.list()) console.log(`${id}  ${tags.join(', ')}  ${size} bytes`);
await pipeline(images.save([reference]), createWriteStream(output));
console.log(`saved ${image.manifest.digest} to ${output}`);

await driver.close();
state.close();
rmSync(root, { recursive: true });
