// Without models: node-postgres with statements that are prepared under a name, and Kysely.
import { Kysely, PostgresDialect, type Generated } from 'kysely'
import { jsonArrayFrom } from 'kysely/helpers/postgres'
import pg from 'pg'
import type { ModelSides, NewNote, Operations } from './workloads.ts'

const given = ['author_id', 'title', 'body', 'published', 'score', 'created_at'] as const
const post = 'id, author_id as "authorId", title, body, published, score, created_at as "createdAt"'
const insert = `insert into notes (${given.join(', ')}) values `

/** The base that others are compared with. */
export async function nodePostgres(url: string, max: number): Promise<ModelSides> {
  const pool = new pg.Pool({ connectionString: url, max })
  const send = async (name: string, text: string, values: unknown[]): Promise<unknown[]> =>
    (await pool.query<Record<string, unknown>>({ name, text, values })).rows
  const lists = new Map<number, string>()
  const operations: Operations = {
    get: async (id) => (await send('get', `select ${post} from posts where id = $1`, [id]))[0],
    page: (after) => send('page', `select ${post} from posts where id > $1 order by id limit 100`, [after]),
    async author(id) {
      const [author] = await send('author', 'select id, name, email from authors where id = $1', [id])
      const posts = await send('posts', `select ${post} from posts where author_id = $1`, [id])
      return { ...(author as object), posts }
    },
    async create(values) {
      const [made] = await send('create', `${insert}($1, $2, $3, $4, $5, $6) returning id`, listed(values))
      return (made as { id: number }).id
    },
    update: (id, score) => send('update', 'update posts set score = $1 where id = $2', [score, id]),
    async createMany(rows) {
      let text = lists.get(rows.length)
      if (text === undefined) lists.set(rows.length, (text = `${insert}${placeholders(rows.length)} returning id`))
      const made = await send(`many${rows.length}`, text, rows.flatMap(listed))
      return made.map((row) => (row as { id: number }).id)
    },
  }
  return { sides: [{ name: 'pg, named', kind: 'raw', operations }], close: () => pool.end() }
}

function listed({ authorId, title, body, published, score, createdAt }: NewNote): unknown[] {
  return [authorId, title, body, published, score, createdAt]
}

function placeholders(rows: number): string {
  const row = (n: number): string => `(${given.map((_, index) => `$${n * given.length + index + 1}`).join(', ')})`
  return Array.from({ length: rows }, (_, n) => row(n)).join(', ')
}

interface Columns {
  author_id: number
  title: string
  body: string
  published: boolean
  score: number
  created_at: Date
}

export interface Tables {
  authors: { id: number; name: string; email: string }
  posts: Columns & { id: number }
  notes: Columns & { id: Generated<number> }
}

export const selected = [
  'id',
  'author_id as authorId',
  'title',
  'body',
  'published',
  'score',
  'created_at as createdAt',
] as const

export async function kysely(url: string, max: number): Promise<ModelSides> {
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: url, max }) }) })
  const columns = ({ authorId, createdAt, ...values }: NewNote): Columns => ({
    ...values,
    author_id: authorId,
    created_at: createdAt,
  })
  const operations: Operations = {
    get: (id) => db.selectFrom('posts').select(selected).where('id', '=', id).executeTakeFirst(),
    page: (after) => db.selectFrom('posts').select(selected).where('id', '>', after).orderBy('id').limit(100).execute(),
    // The recipe of its manual. Dates of the posts come as text.
    async author(id) {
      const author = await db
        .selectFrom('authors')
        .select(['id', 'name', 'email'])
        .select((eb) =>
          jsonArrayFrom(eb.selectFrom('posts').select(selected).whereRef('posts.author_id', '=', 'authors.id')).as(
            'posts',
          ),
        )
        .where('id', '=', id)
        .executeTakeFirstOrThrow()
      return { ...author, posts: author.posts.map((each) => ({ ...each, createdAt: new Date(each.createdAt) })) }
    },
    async create(values) {
      return (await db.insertInto('notes').values(columns(values)).returning('id').executeTakeFirstOrThrow()).id
    },
    update: (id, score) => db.updateTable('posts').set({ score }).where('id', '=', id).execute(),
    async createMany(rows) {
      const made = await db.insertInto('notes').values(rows.map(columns)).returning(selected).execute()
      return made.map(({ id }) => id)
    },
  }
  return { sides: [{ name: 'kysely', kind: 'orm', operations }], close: () => db.destroy() }
}
