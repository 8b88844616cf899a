import { VarveError } from '../base/index.ts';
import { endpointNames } from './container-network.ts';
import { type EngineCore, publishContainer } from './core.ts';
import { parseContainerName } from './names.ts';

/** Gives a container another name. @throws VarveError `conflict` when it is taken, `invalid` when it is not one. */
export function renameContainer(core: EngineCore, nameOrId: string, to: string): void {
  const container = core.containers.resolve(nameOrId);
  if (to === '') throw new VarveError('invalid', 'EMPTY_NAME', 'Neither old nor new names may be empty');
  const name = parseContainerName(to);
  const oldName = container.name;
  if (name === oldName) {
    throw new VarveError(
      'invalid',
      'SAME_NAME',
      'Renaming a container with the same name as its current name',
    );
  }
  using _name = core.containers.reserve(name);
  core.containers.update(container, { name });
  for (const [network, settings] of Object.entries(container.record.networks)) {
    if (settings.EndpointID === '') continue;
    core.networks.setNames(network, container.id, endpointNames(container.record, settings));
  }
  publishContainer(core, container, 'rename', { oldName: `/${oldName}` });
}
