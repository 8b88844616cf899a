import { join } from 'node:path';

/**
 * Where the runtime keeps its files. All but the logs are lost at reboot, as are the containers.
 *
 *     <stateRoot>/c/<id>/         bundle: config.json, attach, ctl, conmon.pid, conmon.err, pidfile, persist/
 *     <stateRoot>/x/<exec>/       one exec session, the same files
 *     <stateRoot>/exits/<id>      exit code, written by conmon; its time is the container's end
 *     <stateRoot>/rt/<id>/        runc's or crun's own state (--root)
 *     <logRoot>/<id>/container.log
 */
export class Layout {
  readonly stateRoot: string;
  readonly logRoot: string;

  constructor(stateRoot: string, logRoot: string) {
    this.stateRoot = stateRoot;
    this.logRoot = logRoot;
  }

  get bundles(): string {
    return join(this.stateRoot, 'c');
  }

  get sessions(): string {
    return join(this.stateRoot, 'x');
  }

  get exits(): string {
    return join(this.stateRoot, 'exits');
  }

  get runtimeRoot(): string {
    return join(this.stateRoot, 'rt');
  }

  bundle(id: string): string {
    return join(this.bundles, id);
  }

  session(execId: string): string {
    return join(this.sessions, execId);
  }

  exitFile(id: string): string {
    return join(this.exits, id);
  }

  log(id: string): string {
    return join(this.logRoot, id, 'container.log');
  }
}
