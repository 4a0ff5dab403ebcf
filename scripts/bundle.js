// The last step of the build: joins the modules that `tsc` has written to `dist/` into few files, because each file that is opened
// takes about a millisecond of the start of a process. Declarations stay as they are; source maps lead to `src/`. Subpaths share
// their modules, so a class is the same by each of them; what is loaded later stays a file for itself.
//
// node scripts/bundle.js [DIRECTORY]: the directory of a package.json and its dist/
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { rolldown } from 'rolldown'

const root = resolve(process.argv[2] ?? '.')
const dist = join(root, 'dist')
const { exports, bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** Where modules go that several subpaths share. `src/observe/place.ts` knows this name. */
const shared = 'genever-parts'

/**
 * The files that several subpaths share: in each is what one of `of` loads and one of `and` too, without what is in a file
 * before it. So a program that imports little, such as an error class or `genever/types`, loads no engine and no driver.
 */
const together = [
  // Errors and texts of values: these import nothing of Node.
  { name: 'plain', of: ['postgres/types/index.js'], and: ['driver/socket/driver.js'] },
  { name: 'genever', of: ['index.js'] },
  // With what drivers share, as those of PostgreSQL and of MySQL do.
  {
    name: 'engine',
    of: ['engine/open/make-engine.js', 'driver/mysql/driver.js'],
    and: ['engine/open/make-engine.js', 'driver/socket/driver.js'],
  },
  // What the first statement of a process does without.
  { name: 'scopes', of: ['engine/open/scope-runtime.js'] },
  { name: 'postgres', of: ['driver/socket/driver.js'] },
  { name: 'mysql-values', of: ['models/index.js'], and: ['driver/mysql/driver.js'] },
  { name: 'mysql-meanings', of: ['mysql/classify.js', 'mysql/errno.js'] },
  { name: 'pg', of: ['driver/pg/driver.js'] },
  { name: 'pglite', of: ['driver/pglite/driver.js'] },
  { name: 'mysql', of: ['driver/mysql/driver.js'] },
]

const entries = [
  ...Object.values(exports).flatMap((target) => (typeof target === 'string' ? [] : [target.default])),
  bin.genever,
  './dist/sync/worker.js',
].map((path) => path.slice('./dist/'.length))

/** The modules that each module imports. */
const imports = new Map()
/** By lists of `together`, the modules that are loaded with them. */
const loaded = new Map()

const sources = new Map(
  readdirSync(dist, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.js'))
    .map((name) => [join(dist, name), readFileSync(join(dist, name), 'utf8')]),
)

/**
 * Private names, which a stack shows, as names that are not private, of the same length: the minifier would shorten them. Their letter
 * is `$`, with which no other name begins that is one of them.
 */
const hidden = new Set([...sources.values()].flatMap((code) => code.match(/(?<![\w$])#[A-Za-z]\w*/g) ?? []))
const visible = /(?<![\w$])\$[A-Za-z]\w*/g
for (const [id, code] of sources)
  for (const name of code.match(visible) ?? [])
    if (hidden.has(`#${name.slice(1)}`)) throw new Error(`${id}: ${name} would be taken for a private name`)
const hide = (code) => code.replaceAll(/(?<![\w$])#(?=[A-Za-z])/g, '$')
const unhide = (code) =>
  code.replaceAll(visible, (name) => (hidden.has(`#${name.slice(1)}`) ? `#${name.slice(1)}` : name))

const bundle = await rolldown({
  cwd: root,
  platform: 'neutral',
  input: Object.fromEntries(entries.map((path) => [path.slice(0, -'.js'.length), join(dist, path)])),
  external: (id) => !id.startsWith('.') && !isAbsolute(id),
  preserveEntrySignatures: 'strict',
  treeshake: { moduleSideEffects: (id) => id.startsWith(dist) },
  onLog(level, { message }) {
    throw new Error(`${level}: ${message}`)
  },
  plugins: [
    {
      name: 'output of tsc',
      load: (id) => (sources.has(id) ? { code: hide(sources.get(id)), map: readFileSync(`${id}.map`, 'utf8') } : null),
      moduleParsed: ({ id, importedIds }) => void imports.set(id, importedIds),
    },
  ],
})
const { output } = await bundle.generate({
  dir: dist,
  format: 'esm',
  sourcemap: true,
  // Comments are in `src/`, where the maps lead to. What a stack or `util.inspect` shows stays: names of functions, classes and members,
  // and the lines. Short names of parameters and variables are read sooner.
  keepNames: true,
  minify: {
    compress: false,
    mangle: { keepNames: true, reserved: [...hidden].map(hide) },
    codegen: { removeWhitespace: false },
  },
  // V8 reads a file with other characters at two bytes each, which takes longer.
  charset: 'ascii',
  comments: { legal: false, annotation: true, jsdoc: false },
  entryFileNames: '[name].js',
  chunkFileNames: `${shared}/[name].js`,
  codeSplitting: {
    groups: together.map(({ name, of, and = of }, index) => ({
      name,
      priority: together.length - index,
      test: (id) => loads(of).has(id) && loads(and).has(id),
    })),
  },
})

/** All that is loaded with these: worked out once, when all modules are known. */
function loads(paths) {
  const known = loaded.get(paths)
  if (known !== undefined) return known
  const all = new Set(paths.map((path) => join(dist, path)))
  for (const id of all) for (const imported of imports.get(id) ?? []) all.add(imported)
  loaded.set(paths, all)
  return all
}

const runtime = output.find(({ name }) => name === 'rolldown-runtime')
/** The helpers of rolldown, each in one line, by the names under which it exports them. */
const helpers = new Map()
if (runtime !== undefined) {
  const [, define] = /^var (\w+) = Object\.defineProperty;$/m.exec(runtime.code)
  for (const [, local, exported] of runtime.code.matchAll(/(\w+) as (\w+)/g)) {
    const text = new RegExp(`^var ${local} = (.*?);$(?=\\n(?:var|export) )`, 'ms').exec(runtime.code)?.[1]
    helpers.set(exported, text.replaceAll(/\s+/g, ' ').replaceAll(`${define}(`, 'Object.defineProperty('))
  }
}

/** With the helpers that it uses in place of their import: a file of less, and each line where it was. */
function withHelpers(code) {
  return code.replace(/^import (?:\{(.*)\} from )?"[./\w-]*\/rolldown-runtime\.js";$/m, (_, names = '') =>
    [...names.matchAll(/(\w+)(?: as ([\w$]+))?/g)]
      .map(([, exported, local = exported]) => `const ${local} = ${helpers.get(exported)};`)
      .join(' '),
  )
}

for (const file of readdirSync(dist, { recursive: true, encoding: 'utf8' }))
  if (/\.js(\.map)?$/.test(file)) rmSync(join(dist, file))
for (const each of output) {
  if (each === runtime || each.fileName === `${runtime?.fileName}.map`) continue
  const file = join(dist, each.fileName)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, each.type === 'chunk' ? unhide(withHelpers(each.code)) : each.source)
}
