// Makes Prisma's client of the schema, as JavaScript. Runs when the package is installed. The engine that migrates is not
// needed for this, so none is downloaded.
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'

const root = dirname(import.meta.dirname)
const generated = join(root, 'node_modules', '.generated')
const prisma = createRequire(import.meta.url).resolve('prisma/build/index.js')

rmSync(generated, { recursive: true, force: true })
execFileSync(process.execPath, [prisma, 'generate', '--schema', join(import.meta.dirname, 'schema.prisma')], {
  cwd: root,
  env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath },
  stdio: ['ignore', 'ignore', 'inherit'],
})
await build({
  entryPoints: [join(generated, 'source', 'client.ts')],
  outfile: join(generated, 'client.mjs'),
  bundle: true,
  packages: 'external',
  format: 'esm',
  platform: 'node',
  target: 'node20',
})
