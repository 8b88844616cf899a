export { addToFallback, dropFromFallback, fallbackSubject, makeFallback } from './fallback-tag.ts';
