// postgres.js: tagged templates, prepared by default, several statements on their way on each connection.
import postgres from 'postgres'

export async function open(url, max) {
  const sql = postgres(url, { max })
  const columns = sql`id, author_id as "authorId", title, body, published, score, created_at as "createdAt"`
  const note = ({ authorId, createdAt, ...values }) => ({ ...values, author_id: authorId, created_at: createdAt })
  const within = (on) => ({
    get: async (id) => (await on`select ${columns} from posts where id = ${id}`)[0],
    update: (id, score) => on`update posts set score = ${score} where id = ${id}`,
    create: async (values) => (await on`insert into notes ${on(note(values))} returning id`)[0].id,
  })
  const work = {
    ...within(sql),
    rows: (after, limit) => sql`select ${columns} from posts where id > ${after} order by id limit ${limit}`,
    async author(id) {
      const [author] = await sql`select id, name, email from authors where id = ${id}`
      return { ...author, posts: [...(await sql`select ${columns} from posts where author_id = ${id}`)] }
    },
    createMany: async (rows) =>
      (await sql`insert into notes ${sql(rows.map(note))} returning id`).map((made) => made.id),
    transaction: (inside) => sql.begin((on) => inside(within(on))),
    async checkout(inside) {
      const on = await sql.reserve()
      try {
        await inside(within(on))
      } finally {
        on.release()
      }
    },
    async stream() {
      let rows = 0
      for await (const some of sql`select ${columns} from posts, generate_series(1, 10)`.cursor(1000))
        rows += some.length
      return rows
    },
  }
  return { name: 'postgres.js', work, close: () => sql.end() }
}
