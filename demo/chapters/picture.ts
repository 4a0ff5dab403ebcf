// Draws who uses which raw connection while scopes, handles and transactions are nested. A line is drawn after its
// statement has run: the server said which of its processes ran it, the engine which connections are out of the pool, and
// the connection's handle how it sees itself.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { sql, type Connection } from 'genever'
import { db } from '../db.ts'
import { exchangeRate } from '../shop/exchange-rates.ts'
import { heading, say, table } from '../support/table.ts'

/** One line of the picture. */
interface Line {
  readonly label: string
  /** How the connection prints itself. */
  readonly handle: string
  /** The server process that ran the statement of this line; undefined if there was none. */
  readonly used: number | undefined
  /** The connections that were out of the pool. */
  readonly lent: ReadonlySet<number>
}

export async function picture(): Promise<void> {
  heading('3. Who shares which raw connection')
  say('● its statement ran on it   │ out of the pool, not used by this line   nothing: in the pool', '')
  const out = new Set<number>()
  const onLease = (message: unknown): void => {
    const { connection, event } = message as { connection: number; event: 'acquire' | 'release' }
    if (event === 'acquire') out.add(connection)
    else out.delete(connection)
  }
  subscribe('genever:lease', onLease)
  try {
    draw(await lines(out))
  } finally {
    unsubscribe('genever:lease', onLease)
  }
}

async function lines(out: ReadonlySet<number>): Promise<Line[]> {
  const drawn: Line[] = []
  const note = (label: string, handle?: Connection, used?: number): void => {
    drawn.push({ label, handle: (handle ?? db.current)?.toString() ?? '', used, lent: new Set(out) })
  }
  const ask = async (label: string, handle?: Connection): Promise<void> => {
    const used = await (handle ?? db).scalar<number>(sql`select pg_backend_pid()`)
    note(label, handle, used)
  }

  await db.scope(async () => {
    note('db.scope(…)')
    await ask('├ a function called inside')
    await db.scope(async (inner) => {
      await ask('├ db.scope(…) inside', inner)
      await db.scope((innermost) => ask('│ └ db.scope(…) inside that one', innermost))
    })
    const own = await db.acquire()
    await ask('├ own = await db.acquire()', own)
    await ask('├ the function again')
    await db.transaction(async (tx) => {
      await ask('├ db.transaction(…)', tx.connection)
      await ask('│ ├ the function')
      await db.transaction((savepoint) => ask('│ ├ db.transaction(…) inside', savepoint.connection))
      await db.transaction((other) => ask('│ ├ the same with { reuse: false }', other.connection), { reuse: false })
      await ask('│ └ own.scalar(…)', own)
    })
    await own.release()
    note('├ own.release()', own)
    await db.idle(async () => {
      note('├ db.idle(…)')
      await exchangeRate()
    })
    await ask('└ the function once more')
  })
  note('the end')
  return drawn
}

/** A column for each raw connection that ran a statement, in the order they first did. */
function draw(drawn: readonly Line[]): void {
  const columns = [...new Set(drawn.flatMap(({ used }) => (used === undefined ? [] : [used])))]
  const names = columns.map((column) => `raw ${column}`)
  const mark = (column: number, { used, lent }: Line): string => {
    if (column === used) return '●'
    return lent.has(column) ? '│' : ''
  }
  const rows = drawn.map((line) => [line.label, line.handle, ...columns.map((column) => mark(column, line))])
  say(table(['', 'prints as', ...names], rows, names))
}
