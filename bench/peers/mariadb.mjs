// The client `mariadb`, whose `execute` prepares.
import { createPool } from 'mariadb'

const columns = 'id, author_id, title, body, published, score, created_at'
const texts = {
  row: `select ${columns} from posts where id = ?`,
  page: `select ${columns} from posts where id > ? order by id limit 100`,
  stream: `select ${columns} from posts where id > ? order by id limit 1000`,
  score: 'update posts set score = ? where id = ?',
  insert: 'insert into log (post_id) values (?)',
}

export async function open(url, max) {
  const { hostname: host, port, username: user, password, pathname } = new URL(url)
  const pool = createPool({
    host,
    port: Number(port || 3306),
    user: decodeURIComponent(user),
    password: decodeURIComponent(password),
    database: pathname.slice(1),
    connectionLimit: max,
    timezone: 'Z',
  })
  const within = (on) => ({
    row: async (id) => (await on.execute(texts.row, [id]))[0],
    score: (id, score) => on.execute(texts.score, [score, id]),
    insert: async (id) => Number((await on.execute(texts.insert, [id])).insertId),
  })
  const lent = async (work) => {
    const connection = await pool.getConnection()
    try {
      return await work(connection)
    } finally {
      await connection.release()
    }
  }
  return {
    name: 'mariadb, execute',
    ...within(pool),
    page: (after) => pool.execute(texts.page, [after]),
    request: (work) => lent((connection) => work(within(connection))),
    transaction: (work) =>
      lent(async (connection) => {
        await connection.beginTransaction()
        try {
          await work(within(connection))
          await connection.commit()
        } catch (error) {
          await connection.rollback()
          throw error
        }
      }),
    stream: (after) =>
      lent(async (connection) => {
        let count = 0
        for await (const _ of connection.queryStream(texts.stream, [after])) count++
        return count
      }),
    close: () => pool.end(),
  }
}
