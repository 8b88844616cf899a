import type { EngineEvent } from '../../engine/index.ts';

/** One line of `GET /events`, with the fields that clients before 1.52 read. */
export function eventView(event: EngineEvent): string {
  const { attributes } = event;
  const legacy =
    event.type === 'container'
      ? { status: event.action, id: event.id, from: attributes['image'] ?? '' }
      : event.type === 'image'
        ? { status: event.action, id: event.id }
        : {};
  const text = JSON.stringify({
    ...legacy,
    Type: event.type,
    Action: event.action,
    Actor: { ID: event.id, Attributes: attributes },
    scope: 'local',
    time: Number(event.time / 1_000_000_000n),
  });
  // Nanoseconds do not fit a JavaScript number: the digits are put in as they are.
  return `${text.slice(0, -1)},"timeNano":${event.time}}\n`;
}
