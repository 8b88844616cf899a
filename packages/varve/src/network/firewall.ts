import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { KeyedLock, VarveError } from '../base/index.ts';
import { findProgram, forgetUdpFlows, run } from '../linux/index.ts';
import {
  type BridgeRules,
  type Publication,
  type Rules,
  renderGuard,
  renderPublish,
  renderRules,
  renderUnpublish,
} from './ruleset.ts';

const FORWARDING = '/proc/sys/net/ipv4/ip_forward';

/**
 * Runs one nft(8) transaction: all of it happens or nothing.
 * @returns what it printed.
 */
export async function nft(script: string, namespacePath?: string): Promise<string> {
  const program = findProgram('nft');
  const result =
    namespacePath === undefined
      ? await run(program, ['-f', '-'], { input: script })
      : await run(findProgram('nsenter'), [`--net=${namespacePath}`, program, '-f', '-'], { input: script });
  if (result.code === 0) return result.stdout.toString('utf8');
  const reason = result.stderr.toString('utf8').trim();
  throw new VarveError('internal', 'NFT_FAILED', `nft: ${reason.split('\n')[0] ?? 'failed'}`, {
    data: { script, stderr: reason },
    ...(/not permitted/.test(reason)
      ? { hint: 'networks need CAP_NET_ADMIN: start the engine as root' }
      : {}),
  });
}

/** Whose tables and bridges these are, on the host and to the engine that comes after. */
export interface FirewallOwner {
  readonly table: string;
  /** What the names of our veth devices begin with. */
  readonly devicePrefix: string;
  /** Comment of the table. */
  readonly note: string;
  /** Folder that a reboot empties, as it resets the rules. */
  readonly folder: string;
}

/** The host's packet filter as we need it: one table, changed by transactions, one at a time. */
export class Firewall {
  readonly #owner: FirewallOwner;
  readonly #forwardingMark: string;
  readonly #lock = new KeyedLock();
  #armed = false;
  #guard = true;

  constructor(owner: FirewallOwner) {
    this.#owner = owner;
    // A note that forwarding was off before us: it lasts as long as the setting does.
    this.#forwardingMark = `${owner.folder}/forwarding-was-off`;
  }

  /** Whether the table is in place. */
  get armed(): boolean {
    return this.#armed;
  }

  /** Puts the whole rule set in place, replacing ours from before. */
  async arm(bridges: readonly BridgeRules[], publications: readonly Publication[]): Promise<void> {
    await this.#lock.run('nft', async () => {
      const rules: Rules = {
        table: this.#owner.table,
        note: this.#owner.note,
        bridges,
        publications,
        dropForeignForwarding: this.#enableForwarding(),
      };
      await nft(renderRules(rules));
      if (this.#guard) {
        try {
          await nft(renderGuard(rules, this.#owner.devicePrefix));
        } catch {
          // A kernel without the bridge family (CONFIG_NF_TABLES_BRIDGE): the guard is an addition.
          this.#guard = false;
        }
      }
      this.#armed = true;
    });
  }

  async publish(publications: readonly Publication[]): Promise<void> {
    await this.#change(renderPublish(this.#owner.table, publications));
    forgetFlows(publications);
  }

  async unpublish(publications: readonly Publication[]): Promise<void> {
    await this.#change(renderUnpublish(this.#owner.table, publications));
    forgetFlows(publications);
  }

  /** Takes our tables away. */
  async remove(): Promise<void> {
    await this.#lock.run('nft', async () => {
      this.#armed = false;
      const families = this.#guard ? ['ip', 'bridge'] : ['ip'];
      await nft(
        families
          .map(
            (family) => `table ${family} ${this.#owner.table}\ndelete table ${family} ${this.#owner.table}\n`,
          )
          .join(''),
      );
    });
  }

  async #change(script: string): Promise<void> {
    if (script !== '') await this.#lock.run('nft', () => nft(script));
  }

  #enableForwarding(): boolean {
    if (readFileSync(FORWARDING, 'utf8').trim() !== '0') return existsSync(this.#forwardingMark);
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

// A flow from before the port was published, or to the container that had it before, would keep its old way.
function forgetFlows(publications: readonly Publication[]): void {
  const ports = new Set(
    publications.filter(({ binding }) => binding.protocol === 'udp').map(({ binding }) => binding.hostPort),
  );
  if (ports.size === 0) return;
  try {
    forgetUdpFlows(ports);
  } catch {
    // A kernel without CONFIG_NF_CT_NETLINK: flows end by themselves, 30 s after their last packet.
  }
}
