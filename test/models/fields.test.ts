/**
 * Fields of classes as compilers leave them: with `useDefineForClassFields` a field that is declared again is defined, and
 * undefined, on every instance; without it only initialisers are left, and they assign.
 */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { compileFunction } from 'node:vm'
import { eq } from 'drizzle-orm'
import { UsageError } from 'genever'
import * as drizzle from 'drizzle-orm/pg-core'
import { transform } from 'esbuild'
import * as genever from 'genever/models'
import typescript from 'typescript-6'
import { describe, expect, test } from 'vitest'
import { caught } from '../support/caught.ts'
import { forEachDriver, type TestedDriver } from '../support/matrix.ts'
import type { classesOf } from './support/fields.ts'

/** CommonJS of the source. */
type Compile = (source: string, useDefineForClassFields: boolean) => string | Promise<string>

const compilers: Readonly<Record<string, Compile>> = {
  'esbuild for ES2022': byEsbuild('es2022'),
  'esbuild for ES2021': byEsbuild('es2021'),
  TypeScript: (source, useDefineForClassFields) => {
    const { ModuleKind, ScriptTarget } = typescript
    const compilerOptions = { module: ModuleKind.CommonJS, target: ScriptTarget.ES2022, useDefineForClassFields }
    return typescript.transpileModule(source, { compilerOptions }).outputText
  },
}

function byEsbuild(target: string): Compile {
  return async (source, useDefineForClassFields) => {
    const tsconfigRaw = { compilerOptions: { useDefineForClassFields } }
    const { code } = await transform(source, { loader: 'ts', format: 'cjs', target, tsconfigRaw })
    return code
  }
}

const ways = Object.entries(compilers).flatMap(([name, compile]) =>
  [true, false].map((define) => ({ name, compile, define })),
)

forEachDriver((driver) => {
  describe.each(ways)('fields by $name, useDefineForClassFields: $define', ({ compile, define }) => {
    // oxlint-disable-next-line typescript/explicit-function-return-type -- what the models infer
    async function compiled(on: TestedDriver) {
      const source = await readFile(join(import.meta.dirname, 'support', 'fields.ts'), 'utf8')
      const module = { exports: {} as { classesOf: typeof classesOf } }
      compileFunction(await compile(source, define), ['module', 'exports'])(module, module.exports)
      const name = await on.table('id serial primary key, name text, n int, secret text, profile jsonb, boss_id int')
      return module.exports.classesOf({ db: await on.db(), name, genever, drizzle })
    }
    const row = { name: 'a', n: 1, secret: 's', nickname: 'nick', level: 7 }

    test('never hide what the row says', async () => {
      const { Thing } = await compiled(driver)

      const made = await Thing.create(row)

      for (const thing of [made, await Thing.getOr404(made.id), await Thing.query().one(), await made.reload()]) {
        expect(thing).toMatchObject(row)
        expect(thing.toJSON()).toEqual({ id: 1, bossId: null, ...row })
        expect(thing.powers).toEqual(['sudo'])
      }
      expect((await Thing.getOr404(1)).calls).toBe(42)
      expect(await Thing.create({})).toMatchObject({ name: null, n: null, secret: null, nickname: null, level: null })
    })

    test('are changed by update(), here and in the database', async () => {
      const { Thing } = await compiled(driver)
      const thing = await Thing.create(row)

      await thing.update({ name: 'b', nickname: 'nack' })
      thing.level = 8

      expect(thing).toMatchObject({ ...row, name: 'b', nickname: 'nack', level: 8 })
      expect(await Thing.get(1)).toMatchObject({ ...row, name: 'b', nickname: 'nack' })
    })

    test('of a subclass stay those of the subclass, and take what a loader attaches', async () => {
      const { Special } = await compiled(driver)
      const Boss = Special.alias('boss')
      await Special.create(row)
      await Special.create({ ...row, name: 'b', bossId: 1 })

      const found = await Special.query()
        .load(Special.load({ boss: Boss.on(eq(Special.c.bossId, Boss.c.id)) }))
        .orderBy(Special.c.id)

      expect(found).toMatchObject([
        { ...row, powers: ['root'], boss: null },
        { ...row, powers: ['root'], name: 'b', boss: row },
      ])
      expect(found[1]?.boss).toBeInstanceOf(Special)
    })

    test('come after the values that a constructor is given, unless they are only declared', async () => {
      const { Thing } = await compiled(driver)

      const thing = new Thing(row)
      expect(thing).toMatchObject({ secret: 's', n: 99, nickname: 'nobody' })
      expect(thing.name).toBe(define ? undefined : 'a')

      const made = await Thing.create(Object.assign(thing, { name: 'b' }))
      const stored = { name: 'b', n: 99, secret: 's', nickname: 'nobody', level: 7 }
      expect(made).toBe(thing)
      expect(made).toMatchObject(stored)
      expect(await Thing.get(made.id)).toMatchObject(stored)
      await Thing.update({ nickname: 'nack' }).everyRow()
      expect((await made.reload()).nickname).toBe('nack')
    })
  })

  test('a class that cannot be filled is refused by loaders too', async () => {
    const db = await driver.db()
    const name = await driver.table('id serial primary key, name text')
    const { pgTable, serial, text } = drizzle
    class Thing extends genever.Model(db, pgTable(name, { id: serial().primaryKey(), name: text() })) {}
    class Stuck extends Thing {
      override get name(): string {
        return 'x'
      }
    }
    await Thing.create({ name: 'a' })
    const query = Thing.query().load([Thing, Stuck.alias('stuck').on(eq(Thing.c.id, Stuck.alias('stuck').c.id))])

    const error = await caught(query.all())

    expect(error).toBeInstanceOf(UsageError)
    expect(error.message).toContain('Stuck.name is a getter without a setter')
  })
})
