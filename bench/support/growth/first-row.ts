// A process that loads a library, asks for one row and says what that took: `node first-row.js NAME URL`. It loads nothing else.

export interface Started {
  /** Milliseconds of processor time until its library was loaded, and until it had its row. */
  readonly loaded: number
  readonly total: number
  /** MB. */
  readonly memory: number
}

const programs: Readonly<Record<string, (url: string) => Promise<() => Promise<unknown>>>> = {
  async node() {
    return async () => {}
  },
  async genever(url) {
    const { createDb } = await import('genever')
    return () => createDb(url, { driver: 'socket' }).scalar('select 1')
  },
  async 'genever over pg'(url) {
    const { createDb } = await import('genever')
    return () => createDb(url, { driver: 'pg' }).scalar('select 1')
  },
  async pg(url) {
    const { default: pg } = await import('pg')
    return () => new pg.Pool({ connectionString: url }).query('select 1')
  },
}

const [, , name = '', url = ''] = process.argv
const ask = await (programs[name] as (typeof programs)[string])(url)
const loaded = cpuMs()
await ask()
const started: Started = { loaded, total: cpuMs(), memory: process.memoryUsage.rss() / 2 ** 20 }
process.stdout.write(JSON.stringify(started), () => process.exit(0))

function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
