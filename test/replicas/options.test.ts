/** What `replicas` takes, and which servers it means. No server is asked. */

import { createDb, type EngineOptions, InvalidOptionError } from 'genever'
import { expect, test } from 'vitest'
import { resolveOptions } from '../../src/options/options.ts'
import { caught } from '../support/caught.ts'

const main = 'postgres://app:secret@one:5432/shop'

test.each<[string, EngineOptions, string]>([
  ['no URL', { replicas: { urls: [] } }, '"replicas.urls"'],
  ['no list', { replicas: { urls: 'postgres://two' as unknown as string[] } }, '"replicas.urls"'],
  ['urls that are missing', { replicas: {} as { urls: string[] } }, '"replicas.urls"'],
  ['what is no URL', { replicas: { urls: ['two:5432'] } }, '"replicas.urls[0]"'],
  ['the primary itself', { replicas: { urls: ['postgres://one:5432/shop'] } }, 'one:5432'],
  ['a server twice', { replicas: { urls: ['postgres://two,two/shop'] } }, 'two:5432'],
  ['another place for reads', { replicas: { urls: [main], reads: 'both' as 'primary' } }, '"replicas.reads"'],
  ['a time that is none', { replicas: { urls: [main], maxLagMs: -1 } }, '"replicas.maxLagMs"'],
  ['a member that there is not', { replicas: { urls: [main], max: 1 } as never }, '"replicas.max"'],
  ['serializable', { isolation: 'SERIALIZABLE', replicas: { urls: ['postgres://two'] } }, 'serializable'],
  ['a standby as the source', { targetSessionAttrs: 'standby', replicas: { urls: ['postgres://two'] } }, 'Attrs'],
])('%s is refused before anything is opened', async (_what, options, said) => {
  const error = await caught(createDb(main, options).open())
  expect(error).toBeInstanceOf(InvalidOptionError)
  expect(error.message).toContain(said)
  expect(error.message).not.toContain('secret')
})

test('PGlite has no replicas', async () => {
  const error = await caught(createDb({ memory: true, replicas: { urls: ['postgres://two'] } }).open())
  expect(error).toBeInstanceOf(InvalidOptionError)
  expect(error.message).toContain('is not an option of pglite')
})

test('each host of each URL is a server, and has what the source says where its URL says nothing', () => {
  const { replicas } = resolveOptions(`${main}?sslmode=require`, {
    applicationName: 'web',
    replicas: { urls: ['postgres://two,three:5433', 'postgres://reader:other@four/copy?sslmode=disable'] },
  })
  const servers = replicas?.hosts.map(({ name, connection: { user, database, ssl, applicationName, password } }) => [
    name,
    user,
    database,
    ssl !== false,
    applicationName,
    (password as () => string)(),
  ])
  expect(servers).toEqual([
    ['one:5432', 'app', 'shop', true, 'web', 'secret'],
    ['two:5432', 'app', 'shop', true, 'web', 'secret'],
    ['three:5433', 'app', 'shop', true, 'web', 'secret'],
    ['four:5432', 'reader', 'copy', false, 'web', 'other'],
  ])
})
