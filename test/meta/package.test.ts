/** The package as it would be published: built and packed aside, then looked at and used like a stranger would. */

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import webpack from 'webpack'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { serverUrl } from '../support/database.ts'
import { root } from '../support/source.ts'

const run = promisify(execFile)
const node = (directory: string, ...args: string[]): Promise<string> =>
  new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: directory }, (error, stdout, stderr) =>
      resolve(error === null ? stdout.trim() : `failed: ${stdout}${stderr}`),
    )
  })
const tool = (name: string, file: string): string => join(root, 'node_modules', name, file)
const subpaths = Object.keys(manifest.exports).map((subpath) => `genever${subpath.slice(1)}`)
const modules = subpaths.filter((name) => !name.endsWith('.json'))

/**
 * Subpaths made of a peer's classes: they load with this alone, and their declarations name its types. Each with the peer
 * and where its versions are installed.
 */
const builtOn = [
  ['genever/h3', 'h3', 'node_modules/h3'],
  ['genever/hono', 'hono', 'node_modules/hono'],
  ['genever/kysely', 'kysely', 'node_modules/kysely'],
  ['genever/kysely', 'kysely', 'test/installs/kysely-0.28/node_modules/kysely'],
  ['genever/nest', '@nestjs/common', 'node_modules/@nestjs/common'],
  ['genever/models', 'drizzle-orm', 'node_modules/drizzle-orm'],
  ['genever/models', 'drizzle-orm', 'test/installs/drizzle-1/node_modules/drizzle-orm'],
  ['genever/schema', 'drizzle-orm', 'node_modules/drizzle-orm'],
  ['genever/schema', 'drizzle-orm', 'test/installs/drizzle-1/node_modules/drizzle-orm'],
] as const
/** Subpaths whose declarations name types of their framework: they are of no use without it. */
const typedBy = [
  ['genever/express', '@types/express'],
  ['genever/fastify', 'fastify'],
  ['genever/fastify/types', 'fastify'],
  ['genever/h3', 'h3'],
  ['genever/hono', 'hono'],
  ['genever/koa', '@types/koa'],
  ['genever/nest', '@nestjs/common'],
] as const
/** Peers that are never without others. */
const companions: Readonly<Record<string, readonly string[]>> = { '@nestjs/common': ['@nestjs/core', 'rxjs'] }
const onTypes = (name: string): boolean => typedBy.some(([subpath]) => subpath === name)
const onPeers = (name: string): boolean => builtOn.some(([subpath]) => subpath === name)

/** Files of the package that a program opens until its first transaction. Each takes about a millisecond. */
const mostOpened = 7

let directory = ''
let tarball = ''
let consumer = ''

// Until the entry files are written there is nothing to pack; `npm run pack:check` does not wait for them.
const written = existsSync(join(root, 'src', 'index.ts')) && existsSync(join(root, 'src', 'testing', 'index.ts'))

describe.skipIf(!written)('the packed package', { timeout: 240_000 }, () => {
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'genever-package-'))
    consumer = join(directory, 'consumer')
    const source = join(directory, 'source')
    await mkdir(source)
    const parts = [
      'src',
      'scripts',
      'package.json',
      'tsconfig.json',
      'tsconfig.build.json',
      'README.md',
      'LICENSE',
      'CHANGELOG.md',
    ]
    for (const part of parts.filter((name) => existsSync(join(root, name))))
      await cp(join(root, part), join(source, part), { recursive: true })
    await symlink(join(root, 'node_modules'), join(source, 'node_modules'))
    const built = await node(source, tool('typescript', 'bin/tsc'), '-p', 'tsconfig.build.json')
    if (built !== '') throw new Error(`The package does not build:\n${built}`)
    await run(process.execPath, ['scripts/bundle.js'], { cwd: source })
    await run('npm', ['pack', '--ignore-scripts', '--pack-destination', directory], { cwd: source })
    tarball = join(directory, `genever-${manifest.version}.tgz`)
    const installed = join(consumer, 'node_modules', 'genever')
    await mkdir(installed, { recursive: true })
    await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', installed])
    await mkdir(join(consumer, 'node_modules', '@types'))
    await symlink(tool('@types/node', ''), join(consumer, 'node_modules', '@types', 'node'))
    await symlink(tool('undici-types', ''), join(consumer, 'node_modules', 'undici-types'))
    await writeFile(join(consumer, 'package.json'), '{ "type": "module" }')
  }, 120_000)

  afterAll(() => rm(directory, { recursive: true, force: true }))

  test('is what publint asks for', async () => {
    expect(await node(consumer, tool('publint', 'src/cli.js'), 'run', tarball, '--strict')).not.toMatch(
      /^failed|Errors:|Warnings:/m,
    )
  })

  test('gives its types to every kind of importer', async () => {
    const arguments_ = [tarball, '--profile', 'esm-only', '--no-definitely-typed', '--no-color', '--no-emoji']

    expect(await node(consumer, tool('@arethetypeswrong/cli', 'dist/index.js'), ...arguments_)).not.toMatch(/^failed/)
  })

  test('is loaded by require() and by import, each subpath, without any peer installed', async () => {
    expect(await load(subpaths.filter((name) => !onPeers(name)))).toEqual(['loaded', 'loaded'])
  })

  test.each(builtOn)('needs for %s just %s, and names it when it is missing: %s', async (name, peer, installed) => {
    for (const message of await load([name])) {
      expect(message).toContain('ERR_MODULE_NOT_FOUND')
      expect(message).toContain(`Cannot find package '${peer}'`)
    }
    expect(await withPeer(peer, installed, () => load([name]))).toEqual(['loaded', 'loaded'])
  })

  test('serves PostgreSQL where npm has installed it alone, and names what node-postgres needs', async () => {
    const service = join(directory, 'service')
    await mkdir(service)
    await run('npm', ['install', '--offline', '--no-audit', '--no-fund', tarball], { cwd: service })
    const script = `
      import { createDb } from 'genever'
      const db = createDb(process.argv[1])
      const rows = await db.transaction(() => Promise.all([db.scalar('select 1'), db.sql\`select \${'two'}\`.scalar()]))
      await db.close()
      const code = await createDb(process.argv[1], { driver: 'pg' }).open().catch((error) => error.code + ' ' + error.message)
      console.log(JSON.stringify([rows, code]))`
    const [rows, refused] = JSON.parse(
      await node(service, '--input-type=module', '-e', script, serverUrl()),
    ) as unknown[]
    const installed = (await readdir(join(service, 'node_modules'))).filter((name) => !name.startsWith('.'))

    expect(installed).toEqual(['genever'])
    expect(rows).toEqual([1, 'two'])
    expect(refused).toMatch(/^GENEVER_DRIVER_NOT_INSTALLED .* npm install pg\./)
  })

  test.each(['node_modules/pg', 'test/installs/pg-8.12/node_modules/pg'])('runs on the pg of %s', async (installed) => {
    const script = `
      import { createDb } from 'genever'
      const db = createDb(process.argv[1], { driver: 'pg' })
      console.log(JSON.stringify([await db.all('select n, n % 2 = 0 as even from generate_series(1, 2) as n'), db.stats().open]))
      await db.close()`
    const answer = await withPeer('pg', installed, () =>
      node(consumer, '--input-type=module', '-e', script, serverUrl()),
    )

    expect(answer).toBe('[[{"n":1,"even":false},{"n":2,"even":true}],1]')
  })

  test('says of models and tables that a Drizzle is too old, and does not fail to load beside it', async () => {
    const old = join(consumer, 'node_modules', 'drizzle-orm')
    const exporting = (names: string): string =>
      names.replaceAll(/\w+/g, 'export const $& = Object.assign(() => ({}), { raw() {} });')
    const files = {
      'package.json': JSON.stringify({
        name: 'drizzle-orm',
        version: '0.30.10',
        type: 'module',
        exports: { '.': './index.js', './*': './*.js' },
      }),
      'version.js': `export const npmVersion = '0.30.10'`,
      // Of what is used, all that this version had.
      'index.js': exporting(
        'Column Name Param SQL StringChunk Subquery Table View aliasedTableColumn and asc desc eq getTableColumns getTableName gt inArray is isNotNull isNull lt or sql',
      ),
      'pg-core.js': exporting('getTableConfig isPgEnum PgSchema PgTable PgView'),
    }
    await mkdir(old)
    for (const [name, content] of Object.entries(files)) await writeFile(join(old, name), content)
    const calls = {
      'genever/models': `import { Model } from 'genever/models'; Model({}, {})`,
      'genever/schema': `import { createStatements } from 'genever/schema'; createStatements([{}])`,
    }

    for (const [name, call] of Object.entries(calls))
      expect(await node(consumer, '--input-type=module', '-e', call)).toContain(
        `UsageError: ${name} needs drizzle-orm 0.45.4 or newer, or 1.0, and found 0.30.10`,
      )
    await rm(old, { recursive: true })
  })

  test('has declarations that compile without any peer installed and without skipLibCheck', async () => {
    expect(await compile(modules.filter((name) => !onPeers(name) && !onTypes(name)))).toBe('')
  })

  test.each(typedBy)('has no error in its declarations of %s beside %s', async (name, framework) => {
    const printed = await withPeer(framework, `node_modules/${framework}`, () => compile([name]))
    // The framework's own declarations are not ours to judge.
    const ours = printed.split('\n').filter((line) => /^(failed: )?(node_modules\/genever\/|use\.ts)/.test(line))

    expect(ours).toEqual([])
  })

  test.each(builtOn.filter(([name]) => !onTypes(name)))(
    'has declarations of %s that compile with %s alone: %s',
    async (name, peer, installed) => {
      expect(ours(await withPeer(peer, installed, () => compile([name])), installed)).toEqual([])
    },
  )

  test('still has its builders registered when it is bundled', async () => {
    for (const name of ['genever/drizzle', 'genever/kysely'].filter((subpath) => subpaths.includes(subpath)))
      expect((await bundled(`import '${name}'`)).text).toMatch(/^registerAdapter\(/m)
  })

  test('is a few kB in a program that needs one class of errors', async () => {
    const program = `import { UniqueViolationError } from 'genever'; console.log(UniqueViolationError)`

    expect((await bundled(program, true)).text.length).toBeLessThan(5_000)
  })

  test('loads for genever/types nothing of Node, so that a browser has it too', async () => {
    const { loaded } = await bundled(`export * from 'genever/types'`)

    expect(loaded.join()).toContain('node_modules/genever/dist/')
    expect(loaded.filter((name) => name.startsWith('node:'))).toEqual([])
  })

  test.each(['cli', 'drizzle', 'kysely', 'models', 'otel', 'schema', 'sync'])(
    'loads for genever/%s neither servers nor files',
    async (name) => {
      const { loaded } = await bundled(`export * from 'genever/${name}'`)

      expect(loaded.join()).toContain('node_modules/genever/dist/')
      expect(loaded.filter((each) => /^node:(dns|fs|net|tls)/.test(each))).toEqual([])
    },
  )

  test('loads no driver of PostgreSQL with the one of MySQL', async () => {
    const { loaded } = await bundled(`export * from './node_modules/genever/dist/genever-parts/mysql.js'`)
    const own = loaded.filter((name) => name.includes('node_modules/genever/dist/'))
    const maps = await Promise.all(own.map((name) => readFile(join(consumer, `${name}.map`), 'utf8').catch(() => '')))

    expect(maps.join()).toContain('src/driver/mysql/driver.ts')
    expect(maps.join()).not.toMatch(/src\/driver\/(socket|pg|pglite)\/driver\.ts/)
  })

  test('is bundled by esbuild and by webpack where nothing else is installed: it serves PostgreSQL, and says what pg needs', async () => {
    const entry = join(consumer, 'bundled.js')
    await writeFile(
      entry,
      `import { createDb } from 'genever'
      const db = createDb(process.argv[2])
      db.scalar('select 1')
        .finally(() => db.close())
        .then((one) => createDb(process.argv[2], { driver: 'pg' }).open().catch(({ code }) => console.log(one, code)))`,
    )
    await build({
      entryPoints: [entry],
      outfile: join(consumer, 'esbuild.mjs'),
      bundle: true,
      format: 'esm',
      platform: 'node',
    })
    await packed({
      mode: 'production',
      target: 'node20',
      context: consumer,
      entry,
      output: { path: consumer, filename: 'webpack.cjs' },
    })

    for (const file of ['esbuild.mjs', 'webpack.cjs'])
      expect(await node(consumer, file, serverUrl())).toBe('1 GENEVER_DRIVER_NOT_INSTALLED')
  }, 300_000)

  test('has the command, which runs as it was installed', async () => {
    const bin = join(consumer, 'node_modules', 'genever', manifest.bin.genever)
    expect(await node(consumer, bin, '--version')).toBe(manifest.version)
    expect(await node(consumer, bin, 'doctor', '--url', 'pg://localhost/shop')).toContain('npm install pg')

    const config = `
      import { createDb } from 'genever'
      import { defineConfig } from 'genever/cli'
      export default defineConfig({ db: () => createDb(process.env.URL) })`
    await writeFile(join(consumer, 'genever.config.mjs'), config)
    const answer = await node(consumer, bin, 'doctor', '--json', '--url', serverUrl())
    await rm(join(consumer, 'genever.config.mjs'))
    expect(JSON.parse(answer)).toMatchObject({ ok: true })
  })

  test('opens few of its files until the first transaction, and says where in the code of its user something began', async () => {
    const script = `
      import { createDb } from 'genever'
      const db = createDb(process.argv[2])
      const ended = await db.transaction(async (tx) => (await db.scalar('select 1'), [tx]))
      console.log(await ended[0].scalar('select 1').catch(({ message }) => message))
      await db.close()`
    await writeFile(join(consumer, 'first.js'), script)
    const coverage = join(directory, 'coverage')
    const env = { ...process.env, NODE_V8_COVERAGE: coverage }
    const said = await run(process.execPath, ['first.js', serverUrl()], { cwd: consumer, env })
    const reports = await readdir(coverage)
    const { result } = JSON.parse(await readFile(join(coverage, reports[0] ?? ''), 'utf8')) as {
      result: { readonly url: string }[]
    }
    const own = result.filter(({ url }) => url.includes('/node_modules/genever/'))

    expect(said.stdout).toContain('The transaction begun at first.js:4:')
    expect(own.length).toBeGreaterThan(0)
    expect(own.length).toBeLessThanOrEqual(mostOpened)
  })

  test('leads by its source maps to its sources', async () => {
    const installed = join(consumer, 'node_modules', 'genever')
    const maps = (await readdir(join(installed, 'dist'), { recursive: true })).filter((name) => name.endsWith('.map'))
    const missing: string[] = []
    let named = 0
    for (const map of maps) {
      const file = join(installed, 'dist', map)
      const { sources } = JSON.parse(await readFile(file, 'utf8')) as { sources: string[] }
      for (const source of sources) {
        named++
        const path = join(dirname(file), source)
        if (!path.startsWith(join(installed, 'src')) || !existsSync(path)) missing.push(`${map}: ${source}`)
      }
    }

    expect(missing).toEqual([])
    expect(named).toBeGreaterThan(400)
  })

  test('shows the names of its functions in a stack, private ones too, and by its source maps where each calls the next', async () => {
    const script = `
      import { createDb } from 'genever'
      Error.stackTraceLimit = 50
      const db = createDb(process.argv[2])
      await db.all('select 1')
      const asked = { get one() { return new Error().stack } }
      console.log((await db.first('select $1::json as given', [asked])).given.one)
      await db.close()`
    await writeFile(join(consumer, 'stack.js'), script)
    const own = (stack: string): string[] => stack.split('\n').filter((line) => line.includes('/node_modules/genever/'))
    const plain = own(await node(consumer, 'stack.js', serverUrl())).join('\n')
    const mapped = own(await node(consumer, '--enable-source-maps', 'stack.js', serverUrl()))

    for (const name of ['encodeAll', '#write', '#described', 'Exchange.rowDescription', 'Session.message', '#cut'])
      expect(plain).toContain(`at ${name} (`)
    let before = ''
    for (const line of mapped) {
      const [, name = '', file = '', row = '', column = ''] =
        /at (?:(\S+) )?\(?(.+\/src\/.+):(\d+):(\d+)\)?$/.exec(line) ?? []
      const text = (await readFile(file, 'utf8')).split('\n')[Number(row) - 1]?.slice(Number(column) - 1)
      if (before.includes('.')) expect(`${line}: ${text}`).toContain(`: ${before.replace(/^.*\./, '')}(`)
      before = name
    }
    expect(mapped.length).toBeGreaterThan(10)
  })

  test('holds sources and what is built from them, and nothing else', async () => {
    const held = await readdir(join(consumer, 'node_modules', 'genever'))

    expect(held.filter((name) => !/^(dist|src|package\.json|README\.md|LICENSE|CHANGELOG\.md)$/.test(name))).toEqual([])
  })
})

/** A program as esbuild bundles it, and all that it loads before it runs: files, and modules of Node. */
async function bundled(contents: string, minify = false): Promise<{ text: string; loaded: string[] }> {
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: consumer },
    absWorkingDir: consumer,
    bundle: true,
    minify,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'node',
    external: Object.keys(manifest.peerDependencies),
  })
  const loaded = new Set(Object.values(metafile.outputs).map(({ entryPoint = '' }) => entryPoint))
  for (const name of loaded)
    for (const { path, kind } of metafile.inputs[name]?.imports ?? []) if (kind === 'import-statement') loaded.add(path)
  return { text: outputFiles[0]?.text ?? '', loaded: [...loaded] }
}

/** Bundles with webpack; what it warns of is an error too, but for a driver that is not there: that is the point. */
async function packed(options: webpack.Configuration): Promise<void> {
  const stats = await new Promise<webpack.Stats | undefined>((resolve, reject) => {
    webpack(options, (error, done) => (error ? reject(error) : resolve(done)))
  })
  const { errors = [], warnings = [] } = stats?.toJson({ all: false, errors: true, warnings: true }) ?? {}
  const told = [...errors, ...warnings].map(({ message }) => message)
  expect(told.filter((message) => !/Can't resolve '[\w@/-]+'/.test(message))).toEqual([])
}

/** What loading the modules says, by require() and by import. */
async function load(names: readonly string[]): Promise<string[]> {
  const required = `for (const name of ${JSON.stringify(names)}) require(name); console.log('loaded')`
  const imports = JSON.stringify(names.filter((name) => !name.endsWith('.json')))
  const imported = `for (const name of ${imports}) await import(name); console.log('loaded')`
  return [
    await node(consumer, '--no-warnings', '--input-type=commonjs', '-e', required),
    await node(consumer, '--input-type=module', '-e', imported),
  ]
}

/** What the compiler says of the declarations, without skipLibCheck. */
async function compile(names: readonly string[]): Promise<string> {
  const lines = names.map((name, index) => `export * as part${index} from '${name}'`)
  await writeFile(join(consumer, 'use.ts'), lines.join('\n'))
  const flags = [
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2023',
    '--types',
    'node',
    '--noEmit',
    '--pretty',
    'false',
  ]
  const libraries = ['--lib', 'es2023,esnext.disposable', '--skipLibCheck', 'false']
  return node(consumer, tool('typescript', 'bin/tsc'), ...flags, ...libraries, 'use.ts')
}

/** Runs `work` while the consumer has this package installed. */
async function withPeer<T>(name: string, installed: string, work: () => Promise<T>): Promise<T> {
  const beside = (companions[name] ?? []).map((other) => [other, `node_modules/${other}`] as const)
  const links: string[] = []
  for (const [peer, path] of [[name, installed] as const, ...beside]) {
    const link = join(consumer, 'node_modules', peer)
    await mkdir(dirname(link), { recursive: true })
    await symlink(join(root, path), link)
    links.push(link)
  }
  try {
    return await work()
  } finally {
    for (const link of links) await rm(link)
  }
}

test('the package has no dependency and runs nothing when it is installed', () => {
  const { scripts } = manifest
  const installing = ['preinstall', 'install', 'postinstall', 'prepare'].filter((name) => name in scripts)

  expect('dependencies' in manifest).toBe(false)
  expect(installing).toEqual([])
})

/** What a compiler says, without what is wrong in the declarations of the peer itself: Drizzle's are, on every version. */
function ours(output: string, installed: string): string[] {
  const problems = output.replace(/^failed: /, '').split(/\n(?! )/)
  return problems.filter((problem) => problem.trim() !== '' && !problem.split('(')[0]?.includes(`${installed}/`))
}
