// Before anything is measured every side gives the same rows and leaves the same rows behind.
import { isDeepStrictEqual } from 'node:util'
import pg from 'pg'
import { type ModelSide, note, readable, thousand } from './workloads.ts'

const noteColumns = ['authorId', 'title', 'body', 'published', 'score', 'createdAt'] as const
const postColumns = ['id', ...noteColumns] as const
const authorColumns = ['id', 'name', 'email'] as const

type Fields = Readonly<Record<string, unknown>>

/** @throws when an operation of the side does not do what the same operation of the first does. */
export async function checkSide({ name, operations }: ModelSide, first: ModelSide, url: string): Promise<void> {
  const { get, page, author, create, update, createMany } = operations
  const base = first.operations
  const equal = (what: string, found: unknown, expected: unknown): void => {
    if (isDeepStrictEqual(found, expected)) return
    const [one, other] = [found, expected].map((value) => JSON.stringify(value, null, 1).split('\n'))
    const line = one?.findIndex((text, index) => text !== other?.[index]) ?? 0
    throw new Error(`${what} of ${name} differs: ${one?.[line]} is not ${other?.[line]} (line ${line})`)
  }
  if (get !== undefined) equal('get', post(await get(77)), post(await base.get?.(77)))
  if (page !== undefined) equal('page', (await page(500)).map(post), (await base.page?.(500))?.map(post))
  if (author !== undefined) equal('author', authorOf(await author(7)), authorOf(await base.author?.(7)))
  await using database = await look(url)
  const stored = (keys: readonly unknown[]): Promise<Fields[]> =>
    database.rows(
      `select author_id as "authorId", title, body, published, score, created_at as "createdAt"
         from notes join unnest($1::int[]) with ordinality as wanted (id, at) using (id) order by at`,
      [keys.map(Number)],
    )
  if (create !== undefined) equal('create', await stored([await create(note(5))]), [note(5)])
  if (createMany !== undefined) equal('createMany', await stored(await createMany(thousand)), thousand)
  if (update !== undefined) {
    const id = readable + 77
    const score = 1 + ((await database.rows('select score from posts where id = $1', [id]))[0]?.['score'] as number)
    await update(id, score)
    equal('update', await database.rows('select score from posts where id = $1', [id]), [{ score }])
  }
}

function post(value: unknown): Fields {
  const found = value as Fields & { readonly author?: { readonly id: unknown } }
  // Where a post has an author and no key of it.
  return pick({ ...pick(found, postColumns), authorId: found['authorId'] ?? found.author?.id }, postColumns)
}

function authorOf(value: unknown): unknown {
  const found = value as Fields
  const posts = [...(found['posts'] as Iterable<unknown>)].map(post)
  return { ...pick(found, authorColumns), posts: posts.toSorted((a, b) => Number(a['id']) - Number(b['id'])) }
}

/** Also of instances whose fields are accessors. */
function pick(from: Fields, names: readonly string[]): Fields {
  return Object.fromEntries(names.map((name) => [name, from[name]]))
}

async function look(
  url: string,
): Promise<AsyncDisposable & { rows(text: string, values: readonly unknown[]): Promise<Fields[]> }> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  return {
    rows: async (text, values) => (await client.query<Record<string, unknown>>(text, [...values])).rows,
    [Symbol.asyncDispose]: () => client.end(),
  }
}
