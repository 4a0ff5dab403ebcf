// Objection: models on Knex, snake case mapped to camel case.
import knex from 'knex'
import objection from 'objection'

const { Model, snakeCaseMappers } = objection

class Base extends Model {
  static columnNameMappers = snakeCaseMappers()
}
class Post extends Base {
  static tableName = 'posts'
}
class Note extends Base {
  static tableName = 'notes'
}
class Author extends Base {
  static tableName = 'authors'
  static relationMappings = {
    posts: { relation: Model.HasManyRelation, modelClass: Post, join: { from: 'authors.id', to: 'posts.author_id' } },
  }
}

export async function open(url, max) {
  const connection = knex({ client: 'pg', connection: url, pool: { min: 0, max } })
  Base.knex(connection)
  const operations = {
    get: (id) => Post.query().findById(id),
    page: (after) => Post.query().where('id', '>', after).orderBy('id').limit(100),
    author: (id) => Author.query().findById(id).withGraphFetched('posts'),
    create: async (values) => (await Note.query().insert({ ...values })).id,
    update: (id, score) => Post.query().patch({ score }).where('id', id),
    async createMany(rows) {
      const made = await Note.query().insert(rows.map((row) => ({ ...row })))
      return made.map(({ id }) => id)
    },
  }
  return { sides: [{ name: '', operations }], close: () => connection.destroy() }
}
