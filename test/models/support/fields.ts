/** Classes with every kind of field, which `fields.test.ts` compiles in several ways: only types are imported. */

import type { integer, pgTable, serial, text, jsonb } from 'drizzle-orm/pg-core'
import type { Db } from 'genever'
import type { json, Model } from 'genever/models'

export interface Parts {
  readonly db: Db
  readonly name: string
  readonly genever: { readonly json: typeof json; readonly Model: typeof Model }
  readonly drizzle: {
    readonly integer: typeof integer
    readonly jsonb: typeof jsonb
    readonly pgTable: typeof pgTable
    readonly serial: typeof serial
    readonly text: typeof text
  }
}

// oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
export function classesOf({ db, name, genever, drizzle }: Parts) {
  const { integer, jsonb, pgTable, serial, text } = drizzle
  const table = pgTable(name, {
    id: serial().primaryKey(),
    name: text(),
    n: integer(),
    secret: text(),
    profile: jsonb(),
    bossId: integer('boss_id'),
  })
  const { json, Model } = genever

  class Thing extends Model(db, table, { json: { profile: { nickname: json.string(), level: json.integer() } } }) {
    override name!: string | null
    override n: number | null = 99
    declare secret: string | null
    override nickname: string | null = 'nobody'
    override level!: number | null
    readonly powers: string[] = ['sudo']
    #calls = 41
    get calls(): number {
      return ++this.#calls
    }
  }

  class Special extends Thing {
    override name: string | null = 'special'
    override readonly powers: string[] = ['root']
    boss?: Special | null
  }

  return { Thing, Special }
}
