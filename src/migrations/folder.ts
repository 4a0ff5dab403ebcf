// A folder of migrations as data: drizzle-kit's, with a journal (0.x) or a folder for each (1.0), or plain numbered files.
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MigrationError } from '../errors/index.ts'
import { statementsOf } from './statements.ts'

export type FolderForm = 'journal' | 'folders' | 'files'

export interface Migration {
  /** `0001_init`, `20260102030405_init`: how reports and the record name it. */
  readonly name: string
  /** When it was made, in milliseconds: what drizzle-kit records. Of plain files their place, from 1. */
  readonly when: number
  /** SHA-256 of the file, as drizzle-kit records it. */
  readonly hash: string
  readonly statements: readonly string[]
}

export interface Folder {
  readonly form: FolderForm
  readonly path: string
  /** In the order in which they are applied. */
  readonly migrations: readonly Migration[]
}

const breakpoint = '--> statement-breakpoint'

/** @throws {MigrationError} when there is no such folder, or it holds what is no migration. */
export async function readFolder(place: string | URL): Promise<Folder> {
  const path = place instanceof URL ? fileURLToPath(place) : place
  let entries: string[]
  try {
    entries = (await readdir(path)).toSorted()
  } catch (cause) {
    throw new MigrationError(`The folder of migrations ${path} cannot be read.`, { cause })
  }
  if (entries.includes('meta')) return { form: 'journal', path, migrations: await fromJournal(path) }
  const folders = entries.filter((entry) => /^\d{14}_/.test(entry) && !entry.endsWith('.sql'))
  const files = entries.filter((entry) => entry.endsWith('.sql'))
  if (folders.length > 0 && files.length > 0)
    throw new MigrationError(`${path} holds folders of migrations and .sql files: put them into two folders.`)
  if (folders.length > 0) return { form: 'folders', path, migrations: await fromFolders(path, folders) }
  return { form: 'files', path, migrations: await fromFiles(path, files) }
}

interface Journal {
  readonly entries?: readonly { readonly tag?: unknown; readonly when?: unknown }[]
}

async function fromJournal(path: string): Promise<Migration[]> {
  const file = join(path, 'meta', '_journal.json')
  let journal: Journal
  try {
    journal = JSON.parse(await readFile(file, 'utf8')) as Journal
  } catch (cause) {
    throw new MigrationError(`${file} is no journal of drizzle-kit.`, { cause })
  }
  const migrations: Migration[] = []
  for (const { tag, when } of journal.entries ?? []) {
    if (typeof tag !== 'string' || typeof when !== 'number')
      throw new MigrationError(`${file} has an entry without a tag or a time.`)
    migrations.push(await read(join(path, `${tag}.sql`), tag, when, breakpoint))
  }
  return migrations
}

async function fromFolders(path: string, folders: readonly string[]): Promise<Migration[]> {
  const migrations: Migration[] = []
  for (const name of folders) {
    const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)/.exec(name) ?? []
    const when = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second))
    migrations.push(await read(join(path, name, 'migration.sql'), name, when, breakpoint))
  }
  return migrations
}

async function fromFiles(path: string, files: readonly string[]): Promise<Migration[]> {
  const numbered = files.map((file) => ({ file, number: /^(\d+)/.exec(file)?.[1] }))
  const odd = numbered.find(({ number }) => number === undefined)
  if (odd !== undefined)
    throw new MigrationError(
      `${odd.file} has no number in front of its name, so its order is not known: 0001_name.sql.`,
    )
  const ordered = numbered.toSorted((a, b) => Number(a.number) - Number(b.number) || (a.file < b.file ? -1 : 1))
  const migrations: Migration[] = []
  for (const [index, { file }] of ordered.entries())
    migrations.push(await read(join(path, file), file.slice(0, -'.sql'.length), index + 1, null))
  return migrations
}

async function read(file: string, name: string, when: number, separator: string | null): Promise<Migration> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    throw new MigrationError(`The migration ${file} cannot be read.`, { cause })
  }
  const pieces = separator === null ? [text] : text.split(separator)
  return {
    name,
    when,
    hash: createHash('sha256').update(text).digest('hex'),
    statements: pieces.flatMap(statementsOf),
  }
}
