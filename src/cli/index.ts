// `genever/cli`: re-exports, nothing else.
export { defineConfig, type GeneverConfig } from './config.ts'
