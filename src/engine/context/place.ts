// Places: a tenant, a schema or a database that code names for its statements. A place is a frame with settings, or with another
// engine, and without a connection. Queries and objects that are made inside of a named schema go there wherever they run.
import { TransactionStateError } from '../../errors/index.ts'
import type { Compiled } from '../../sql/compiled.ts'
import { ambientSettings, currentChain, Link, push, runIn } from './chain.ts'
import type { EngineCore, From } from '../core.ts'
import { Frame, type Settings } from './frame.ts'

/** The name of a place. A tenant may be null: no tenant, on purpose. */
export type PlaceName =
  | { readonly what: 'tenant'; readonly tenant: unknown }
  | { readonly what: 'schema'; readonly schema: string }
  | { readonly what: 'database'; readonly name: string }
  // Which of its servers alone: no place of rows.
  | { readonly what: 'server' }

export interface Place {
  readonly said: PlaceName
  /** The settings it makes; null: none. */
  readonly settings: Settings | null
  /** Where its reads go, of a database with replicas. */
  readonly from?: From | undefined
}

/** In settings whose path leads to a schema that was named, with that path. Copies of the settings have it too. */
const named: unique symbol = Symbol('genever.schema')

interface Named {
  readonly [named]?: string | undefined
}

export function pathSettings(path: string): Settings {
  return Object.freeze({ search_path: path, [named]: path })
}

/** The path that what was made with these settings takes along; null: it takes none. */
export function pathTaken(settings: Settings): string | null {
  const path = (settings as Named)[named]
  return path !== undefined && path === settings['search_path'] ? path : null
}

/** The same settings on another path. */
export function onPath(settings: Settings | null, path: string): Settings {
  return { ...settings, ...pathSettings(path) }
}

/** The same settings without a path. */
export function withoutPath(settings: Settings | null): Settings {
  const { search_path: _, ...rest } = settings ?? {}
  return rest
}

class PlaceFrame extends Frame {
  readonly said: PlaceName
  /** Its own settings, and those around it. */
  readonly own: Settings | null
  readonly base: Settings | null
  readonly from: From | undefined

  constructor(
    kind: 'overlay' | 'bind',
    engine: EngineCore,
    db: object | null,
    { said, settings: own, from }: Place,
    base: Settings | null,
    all: Settings | null,
  ) {
    super(kind, engine, db, null, null, all)
    this.said = said
    this.own = own
    this.base = base
    this.from = from
  }
}

/** The innermost place that was said through `db`, while its callback runs. */
export function placeAround(db: object, chain: Link | undefined): PlaceFrame | null {
  for (let link = chain; link !== undefined; link = link.next)
    if (isPlace(link.frame) && link.frame.db === db && link.frame.said.what !== 'server') return link.frame
  return null
}

/** Where the innermost `using({ from })` wants reads to go; null: there is none. */
export function fromAround(engine: EngineCore, chain: Link | undefined): From | null {
  for (let link = chain; link !== undefined; link = link.next) {
    const { frame } = link
    if (frame.engine !== engine) continue
    if (frame.kind === 'detached') return null
    if (isPlace(frame) && frame.from !== undefined) return frame.from
  }
  return null
}

const isPlace = (frame: Frame): frame is PlaceFrame => frame instanceof PlaceFrame && frame.live

/**
 * The chain of code at that place. A schema leaves all other settings as they are; a tenant has nothing of the tenants and
 * schemas around it.
 * @throws {TransactionStateError} when the settings around here belong to a frame that has ended.
 */
export function chainAt(place: Place, engine: EngineCore, db: object | null, chain: Link | undefined): Link {
  const here = chain === undefined ? null : ambientSettings(engine, chain)
  const base = place.said.what === 'tenant' ? withoutPlaces(engine, here, chain) : here
  const all = place.settings === null ? base : { ...base, ...place.settings }
  // Empty settings differ from none: they take the place of the settings around.
  const settings = all === null && here !== null ? {} : all
  return push(new PlaceFrame('overlay', engine, db, place, base, settings), chain)
}

/** The chain of code that means another engine when it says `db`. */
export function chainOn(engine: EngineCore, db: object, said: PlaceName): Link {
  return push(new PlaceFrame('bind', engine, db, { said, settings: null }, null, null), currentChain())
}

/** The same function, at the places that are said around code with this chain: for one that is called when that has left them. */
export function atThisPlace<A extends readonly unknown[]>(
  work: (...given: A) => unknown,
  chain: Link | undefined = currentChain(),
): (...given: A) => unknown {
  const places = placesIn(chain)
  if (places.length === 0 || typeof work !== 'function') return work
  return (...given) => {
    const here = new Set(placesIn(currentChain()))
    return at(
      places.filter((place) => !here.has(place)),
      () => work(...given),
    )
  }
}

/** The innermost first. */
function placesIn(chain: Link | undefined): PlaceFrame[] {
  const places: PlaceFrame[] = []
  for (let link = chain; link !== undefined; link = link.next) if (isPlace(link.frame)) places.push(link.frame)
  return places
}

function at(places: readonly PlaceFrame[], work: () => unknown): unknown {
  const outermost = places.at(-1)
  if (outermost === undefined) return work()
  const { engine, db, said, own: settings, from, kind } = outermost
  const chain =
    kind === 'bind'
      ? chainOn(engine, db as object, said)
      : chainAt({ said, settings, from }, engine, db, withoutLeft(currentChain()))
  return settled(chain, () => at(places.slice(0, -1), work))
}

/** Without the places that code has left: they say nothing where another one is said. */
export function withoutLeft(chain: Link | undefined): Link | undefined {
  const frames: Frame[] = []
  for (let link = chain; link !== undefined; link = link.next)
    if (link.frame.live || !(link.frame instanceof PlaceFrame)) frames.push(link.frame)
  return frames.reduceRight<Link | undefined>((next, frame) => new Link(frame, next), undefined)
}

async function settled(chain: Link, work: () => unknown): Promise<unknown> {
  try {
    return await runIn(chain, work)
  } finally {
    chain.frame.end()
  }
}

function withoutPlaces(engine: EngineCore, here: Settings | null, chain: Link | undefined): Settings | null {
  if (here === null) return null
  let left: Settings | null = here
  for (let link = chain; link !== undefined; link = link.next) {
    const { frame } = link
    if (frame.engine !== engine || !frame.live) continue
    if (frame.kind === 'detached') break
    if (frame instanceof PlaceFrame && frame.own !== null) left = without(left, frame.own, frame.base)
  }
  return left
}

/** The settings without those of `own`: they are again as in `base`, unless code inside has set them to something else. */
function without(settings: Settings, own: Settings, base: Settings | null): Settings {
  const left: Record<string, string> = { ...settings }
  for (const [name, value] of Object.entries(own)) {
    if (left[name] !== value) continue
    if (base?.[name] === undefined) delete left[name]
    else left[name] = base[name]
  }
  return left
}

// Code at a tenant or in a schema that would leave it by SQL is refused where its text says so. This helps against mistakes; it is
// no wall against code that may run any SQL.

const changed = new WeakMap<Compiled, readonly string[]>()

/** They decide who runs a statement, and on which tables. */
const always: ReadonlySet<string> = new Set(['*', 'role', 'session_authorization', 'search_path'])

/** @throws {TransactionStateError} when the text changes what makes the place around it. */
export function refuseLeaving(stmt: Compiled, engine: EngineCore, chain: Link): void {
  let names = changed.get(stmt)
  if (names === undefined) changed.set(stmt, (names = engine.dialect.settings.changedBy?.(stmt.text) ?? []))
  if (names.length === 0) return
  for (let link: Link | undefined = chain; link !== undefined; link = link.next) {
    const { frame } = link
    if (frame.engine !== engine) continue
    if (frame.kind === 'detached') return
    if (!(frame instanceof PlaceFrame) || frame.own === null || !frame.live) continue
    const { own } = frame
    const wrong = names.find((name) => always.has(name) || Object.keys(own).some((each) => each.toLowerCase() === name))
    if (wrong === undefined) continue
    const what = wrong === '*' ? 'all settings' : JSON.stringify(wrong)
    throw new TransactionStateError(
      `This text changes ${what} inside of ${frame.said.what === 'tenant' ? 'withTenant()' : 'withSchema()'}, so the statements after it ` +
        'would run at another place. Name that place by withTenant(), withSchema() or using(), or give the settings to scope().',
      { statement: { sql: stmt.text } },
    )
  }
}
