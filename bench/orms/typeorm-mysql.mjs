// TypeORM on mysql2: entity schemas, the manager of a data source.
import mysql2 from 'mysql2'
import { DataSource, EntitySchema, MoreThan } from 'typeorm'

// oxlint-disable typescript/no-extraneous-class -- rows become instances of them
class Post {}
class Log {}

const entities = [
  new EntitySchema({
    name: 'Post',
    target: Post,
    tableName: 'posts',
    columns: {
      id: { type: 'int', primary: true },
      authorId: { type: 'int', name: 'author_id' },
      title: { type: 'varchar' },
      body: { type: 'text' },
      published: { type: 'boolean' },
      score: { type: 'int' },
      createdAt: { type: 'datetime', name: 'created_at', precision: 3 },
    },
  }),
  new EntitySchema({
    name: 'Log',
    target: Log,
    tableName: 'log',
    columns: { id: { type: 'int', primary: true, generated: true }, postId: { type: 'int', name: 'post_id' } },
  }),
]

export async function open(url, max) {
  const source = await new DataSource({
    type: 'mysql',
    driver: mysql2,
    url,
    entities,
    poolSize: max,
    timezone: 'Z',
  }).initialize()
  const within = (manager) => ({
    row: (id) => manager.findOneBy(Post, { id }),
    score: (id, score) => manager.update(Post, { id }, { score }),
    insert: async (postId) => (await manager.insert(Log, { postId })).identifiers[0].id,
  })
  const { manager } = source
  return {
    name: 'typeorm 1.1',
    ...within(manager),
    page: (after) => manager.find(Post, { where: { id: MoreThan(after) }, order: { id: 'ASC' }, take: 100 }),
    request: (work) => work(within(manager)),
    transaction: (work) => source.transaction((on) => work(within(on))),
    close: () => source.destroy(),
  }
}
