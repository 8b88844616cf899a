import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { KeyedLock, VarveError } from '../base/index.ts';
import { findProgram, run } from '../linux/index.ts';
import {
  type BridgeRules,
  type Publication,
  type Rules,
  renderGuard,
  renderPublish,
  renderRules,
  renderUnpublish,
} from './ruleset.ts';

/** What the names of our veth devices begin with. */
export const devicePrefix = 'vv';

const FORWARDING = '/proc/sys/net/ipv4/ip_forward';

/** Runs one nft(8) transaction: all of it happens or nothing. */
export async function nft(script: string, namespacePath?: string): Promise<void> {
  const program = findProgram('nft');
  const result =
    namespacePath === undefined
      ? await run(program, ['-f', '-'], { input: script })
      : await run(findProgram('nsenter'), [`--net=${namespacePath}`, program, '-f', '-'], { input: script });
  if (result.code === 0) return;
  const reason = result.stderr.toString('utf8').trim();
  throw new VarveError('internal', 'NFT_FAILED', `nft: ${reason.split('\n')[0] ?? 'failed'}`, {
    data: { script, stderr: reason },
    ...(/not permitted/.test(reason)
      ? { hint: 'networks need CAP_NET_ADMIN: start the engine as root' }
      : {}),
  });
}

/** The host's packet filter as we need it: one table, changed by transactions, one at a time. */
export class Firewall {
  readonly #table: string;
  readonly #forwardingMark: string;
  readonly #lock = new KeyedLock();
  #armed = false;
  #guard = true;

  /** @param runRoot holds the note that forwarding was off before us; it goes with a reboot, as does the setting. */
  constructor(table: string, runRoot: string) {
    this.#table = table;
    this.#forwardingMark = `${runRoot}/network/forwarding-was-off`;
  }

  /** Whether the table is in place. */
  get armed(): boolean {
    return this.#armed;
  }

  /** Puts the whole rule set in place, replacing ours from before. */
  async arm(bridges: readonly BridgeRules[], publications: readonly Publication[]): Promise<void> {
    await this.#lock.run('nft', async () => {
      const rules: Rules = {
        table: this.#table,
        bridges,
        publications,
        dropForeignForwarding: this.#enableForwarding(),
      };
      await nft(renderRules(rules));
      if (this.#guard) {
        try {
          await nft(renderGuard(rules, devicePrefix));
        } catch {
          // A kernel without the bridge family (CONFIG_NF_TABLES_BRIDGE): the guard is an addition.
          this.#guard = false;
        }
      }
      this.#armed = true;
    });
  }

  async publish(publications: readonly Publication[]): Promise<void> {
    await this.#change(renderPublish(this.#table, publications));
  }

  async unpublish(publications: readonly Publication[]): Promise<void> {
    await this.#change(renderUnpublish(this.#table, publications));
  }

  /** Takes our tables away. */
  async remove(): Promise<void> {
    await this.#lock.run('nft', async () => {
      this.#armed = false;
      const families = this.#guard ? ['ip', 'bridge'] : ['ip'];
      await nft(
        families
          .map((family) => `table ${family} ${this.#table}\ndelete table ${family} ${this.#table}\n`)
          .join(''),
      );
    });
  }

  async #change(script: string): Promise<void> {
    if (script !== '') await this.#lock.run('nft', () => nft(script));
  }

  #enableForwarding(): boolean {
    if (readFileSync(FORWARDING, 'utf8').trim() !== '0') return existsSync(this.#forwardingMark);
    mkdirSync(dirname(this.#forwardingMark), { recursive: true, mode: 0o700 });
    writeFileSync(this.#forwardingMark, '');
    try {
      writeFileSync(FORWARDING, '1');
    } catch (cause) {
      throw new VarveError('unavailable', 'NO_IP_FORWARD', `${FORWARDING} is 0 and cannot be written`, {
        cause,
        hint: 'run `sysctl -w net.ipv4.ip_forward=1` on the host',
      });
    }
    return true;
  }
}
