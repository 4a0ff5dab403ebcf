// @effect/sql-pg with `multiplex`, as its manual has it for most throughput: each call runs an effect to its end.
import { PgClient } from '@effect/sql-pg'
import { Effect, Exit, Layer, Redacted, Scope, Stream } from 'effect'

export async function open(url, max) {
  const scope = Effect.runSync(Scope.make())
  const layer = PgClient.layer({ url: Redacted.make(url), maxConnections: max, multiplex: true })
  const services = await Effect.runPromise(Layer.buildWithScope(layer, scope))
  const sql = await Effect.runPromise(Effect.provide(PgClient.PgClient, services))
  const run = (effect) => Effect.runPromise(effect)
  const columns = sql.literal('id, author_id as "authorId", title, body, published, score, created_at as "createdAt"')
  const get = (id) => Effect.map(sql`select ${columns} from posts where id = ${id}`, (rows) => rows[0])
  const update = (id, score) => sql`update posts set score = ${score} where id = ${id}`
  const note = ({ authorId, createdAt, ...values }) => ({ ...values, author_id: authorId, created_at: createdAt })
  const create = (values) =>
    Effect.map(sql`insert into notes ${sql.insert(note(values))} returning id`, (rows) => rows[0].id)
  const work = {
    get: (id) => run(get(id)),
    update: (id, score) => run(update(id, score)),
    create: (values) => run(create(values)),
    rows: (after, limit) => run(sql`select ${columns} from posts where id > ${after} order by id limit ${limit}`),
    async author(id) {
      const [author] = await run(sql`select id, name, email from authors where id = ${id}`)
      return { ...author, posts: await run(sql`select ${columns} from posts where author_id = ${id}`) }
    },
    createMany: (rows) =>
      run(
        Effect.map(sql`insert into notes ${sql.insert(rows.map(note))} returning id`, (made) =>
          made.map(({ id }) => id),
        ),
      ),
    // Code inside is written in effects there; promises would leave the transaction.
    transaction: (inside) =>
      run(
        sql.withTransaction(
          Effect.gen(function* () {
            const context = yield* Effect.context()
            const within = (effect) => Effect.runPromiseWith(context)(effect)
            yield* Effect.promise(() =>
              inside({
                get: (id) => within(get(id)),
                update: (id, score) => within(update(id, score)),
                create: (values) => within(create(values)),
              }),
            )
          }),
        ),
      ),
    stream: () =>
      run(
        Stream.runFold(
          sql`select ${columns} from posts, generate_series(1, 10)`.stream,
          () => 0,
          (count) => count + 1,
        ),
      ),
  }
  return { name: '@effect/sql-pg', work, close: () => run(Scope.close(scope, Exit.void)) }
}
