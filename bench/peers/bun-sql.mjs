// Bun.sql, in a process of Bun.
/* global Bun */
export async function open(url, max) {
  const sql = new Bun.SQL(url, { max })
  const note = ({ authorId, createdAt, ...values }) => ({ ...values, author_id: authorId, created_at: createdAt })
  const within = (on) => ({
    get: async (id) =>
      (
        await on`select id, author_id as "authorId", title, body, published, score, created_at as "createdAt" from posts where id = ${id}`
      )[0],
    update: (id, score) => on`update posts set score = ${score} where id = ${id}`,
    create: async (values) => (await on`insert into notes ${on(note(values))} returning id`)[0].id,
  })
  const work = {
    ...within(sql),
    rows: (after, limit) =>
      sql`select id, author_id as "authorId", title, body, published, score, created_at as "createdAt" from posts where id > ${after} order by id limit ${limit}`,
    async author(id) {
      const [author] = await sql`select id, name, email from authors where id = ${id}`
      const posts =
        await sql`select id, author_id as "authorId", title, body, published, score, created_at as "createdAt" from posts where author_id = ${id}`
      return { ...author, posts: [...posts] }
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
  }
  return { name: 'Bun.sql', work, close: () => sql.close() }
}
