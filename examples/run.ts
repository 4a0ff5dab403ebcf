// `npm run example -- fastify`: starts a database of its own (or takes DATABASE_URL) and serves the shop with the framework
// of that name until Ctrl-C.
import { readdir } from 'node:fs/promises'
import { temporaryDatabase, temporaryMariadb } from '../demo/support/database.ts'
import type { Service } from './shop/service.ts'

const folders = await readdir(import.meta.dirname, { withFileTypes: true })
// An application of Next.js is built and started by Next.js: see docs/next.md.
const names = folders
  .filter((entry) => entry.isDirectory() && !['shop', 'next'].includes(entry.name))
  .map(({ name }) => name)
const [name = ''] = process.argv.slice(2)

if (names.includes(name)) await run(name)
else {
  console.log(`usage: npm run example -- <name>\nnames: ${names.join(', ')}`)
  process.exitCode = 1
}

async function run(framework: string): Promise<void> {
  await using database = await (framework === 'mariadb' ? temporaryMariadb() : temporaryDatabase())
  const { serve } = (await import(`./${framework}/server.js`)) as { serve: (url: string) => Promise<Service> }
  const service = await serve(database.url)
  const { url } = service
  console.log(`
The shop is open on ${url}. Ctrl-C ends it.

  curl ${url}/bottles/1
  curl ${url}/quotes/1
  curl -X POST ${url}/orders -H 'content-type: application/json' -d '{"bottle":1,"count":2}'
  curl -X POST ${url}/orders -H 'content-type: application/json' -d '{"bottle":2,"count":1}'
  curl ${url}/ready
`)
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
  })
  await service.close()
}
