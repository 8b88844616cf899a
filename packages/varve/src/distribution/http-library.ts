// Imported by name here, once and as a whole lazily: a bundle keeps no named exports of a CommonJS module that is itself
// imported with `import()`.
export { Agent, EnvHttpProxyAgent, request } from 'undici';
