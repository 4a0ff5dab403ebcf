// `npm run demo -- --serve`: the service of the demo, for as long as you like.
import { poolSize } from './db.ts'
import { startService, type Service } from './service/server.ts'
import { heading, say, table } from './support/table.ts'

const usualPort = 3000

/** Serves until Ctrl-C. */
export async function serve(): Promise<void> {
  await using service = await startOnUsualPort()
  const { url } = service
  heading(`The shop is open on ${url}`)
  const rows = [
    [`curl ${url}/lent/1`, 'one quote, its connection lent'],
    [`curl ${url}/query/1`, 'one quote, by pool.query of node-postgres'],
    [`curl ${url}/held/1`, 'one quote, its connection held'],
    [`time seq 60 | xargs -P 60 -I_ curl -s ${url}/lent/1`, `60 at once on ${poolSize} connections, lent`],
    [`time seq 60 | xargs -P 60 -I_ curl -s ${url}/held/1`, 'the same, held'],
    [`curl -X POST '${url}/orders/1?bottles=2'`, 'an order: commits'],
    [`curl -X POST '${url}/orders/1?bottles=2&decline'`, 'an order nobody pays for: rolls back'],
    [`curl -X POST '${url}/orders/1?bottles=99'`, 'more than there is: the table refuses it'],
    [`curl ${url}/orders`, 'what is left of all this'],
    [`curl ${url}/stats`, 'the pool at this moment'],
  ]
  say(table(['try', ''], rows), '', 'Ctrl-C ends it.')
  await interrupted()
}

/** A port that is easy to type, unless somebody has it. */
async function startOnUsualPort(): Promise<Service> {
  try {
    return await startService(usualPort)
  } catch {
    return startService()
  }
}

function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
  })
}
