import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { VarveError } from '../../base/index.ts';
import type { RobotRecord, RobotRecords } from '../metadata/index.ts';
import type { Grant } from './access-control.ts';

/** A robot logs in as `robot+NAME`: a name that no line of htpasswd needs, and that shells leave alone. */
export const robotPrefix = 'robot+';
const secretPrefix = 'vrobot_';
const namePattern = /^[a-z0-9]+(?:[._-][a-z0-9]+)*$/;

export interface NewRobot {
  readonly name: string;
  readonly grants: readonly Grant[];
  readonly description?: string | undefined;
  /** Milliseconds since 1970; absent for never. */
  readonly expiresAt?: number | undefined;
}

/**
 * Makes a robot account. Its secret has 256 random bits, so a plain hash of it is enough, and is all that is kept.
 * @returns the secret, which nobody can read again
 * @throws VarveError `invalid` (`ROBOT_INVALID`), `conflict` (`ROBOT_EXISTS`)
 */
export async function createRobot(
  records: RobotRecords,
  robot: NewRobot,
): Promise<{ readonly record: RobotRecord; readonly secret: string }> {
  const invalid = (why: string): VarveError => new VarveError('invalid', 'ROBOT_INVALID', why);
  if (!namePattern.test(robot.name) || robot.name.length > 64) {
    throw invalid(`not a name for a robot: ${JSON.stringify(robot.name.slice(0, 100))}`);
  }
  if (robot.grants.length > 100) throw invalid('a robot has 100 grants at most');
  for (const { repositories, actions } of robot.grants) {
    if (repositories.length === 0 || actions.length === 0)
      throw invalid('a grant names repositories and actions');
    if (repositories.length > 100 || repositories.some((glob) => glob === '' || glob.length > 255)) {
      throw invalid('a grant has 100 globs at most, of 255 characters');
    }
    const wrong = actions.find((action) => !['pull', 'push', 'delete', '*'].includes(action));
    if (wrong !== undefined) throw invalid(`not an action: ${wrong.slice(0, 100)}`);
  }
  if (robot.expiresAt !== undefined && !(robot.expiresAt > Date.now()))
    throw invalid('it would have expired');
  const secret = secretPrefix + randomBytes(32).toString('base64url');
  const record: RobotRecord = {
    name: robot.name,
    secretHash: hashSecret(secret),
    grants: robot.grants,
    description: robot.description?.slice(0, 1000),
    createdAt: Date.now(),
    expiresAt: robot.expiresAt,
  };
  if (!(await records.add(record))) {
    throw new VarveError('conflict', 'ROBOT_EXISTS', `there is a robot ${robot.name}`, {
      subject: robot.name,
    });
  }
  return { record, secret };
}

/** Whether a robot may log in with this secret now. */
export function verifyRobot(record: RobotRecord | undefined, secret: string): boolean {
  const expected = Buffer.from(record?.secretHash ?? hashSecret(''), 'hex');
  const given = Buffer.from(hashSecret(secret), 'hex');
  const same = expected.length === given.length && timingSafeEqual(expected, given);
  return same && record !== undefined && !hasExpired(record);
}

export function hasExpired(record: RobotRecord): boolean {
  return record.expiresAt !== undefined && record.expiresAt <= Date.now();
}

/** Changes with a robot's secret: one that is removed and made anew is another. */
export function robotFingerprint(record: RobotRecord): string {
  return record.secretHash.slice(0, 22);
}

function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
