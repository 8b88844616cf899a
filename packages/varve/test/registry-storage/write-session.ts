/** A process that appends its stdin to an upload, to be killed: `write-session.ts <id> <storage block as JSON>`. */
import { configSchema } from '../../src/registry/config/index.ts';
import { openStorage } from '../../src/registry/storage/index.ts';

const [id = '', block = ''] = process.argv.slice(2);
const { storage: config } = configSchema.parse({ storage: JSON.parse(block) as object });
const storage = await openStorage(config, '/nonexistent');
const session = await storage.create(id, 'note');
await session.append(process.stdin as AsyncIterable<Uint8Array>);
