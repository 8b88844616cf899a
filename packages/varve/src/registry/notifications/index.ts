export { type NotificationEndpoint, Notifier, type RegistryEvent } from './notifier.ts';
