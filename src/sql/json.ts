// JSON text of values that are sent: what `JSON.stringify` makes, less what it would change in silence. It leaves out, makes NULL
// or makes empty whatever JSON has no form for; here that is refused, at any depth, by the path to it. Used for parameters and
// for JSON columns of models. No message holds a value.
import { isBoxedPrimitive, isMap, isNativeError, isSet } from 'node:util/types'
import { builderOf, hasMethod, isPlain } from './foreign.ts'
import { toStatement } from './statement.ts'
import { describeType } from '../util/checks.ts'

/** `what` goes on behind a subject: `is a Map, …` or `holds, at .items[2], a Map, …`. */
export type Refuse = (what: string) => never

/**
 * The JSON text of a value. Instances of classes are written by their `toJSON`, else by their own enumerable members, as
 * `JSON.stringify` does; members that are undefined are left out. Calls `refuse` for what JSON cannot say.
 */
export function jsonText(value: unknown, refuse: Refuse): string {
  if (typeof value === 'string') return JSON.stringify(value)
  return JSON.stringify(new Check(refuse).plain(value))
}

/** Deeper than this, a value is looked at for a circle. */
const suspicious = 64

/** PostgreSQL's own reader gives up at about as many. */
const deepest = 5000

class Check {
  readonly #refuse: Refuse
  readonly #path: (string | number)[] = []
  readonly #around = new Set<object>()

  constructor(refuse: Refuse) {
    this.#refuse = refuse
  }

  /** The value without what `JSON.stringify` would ask for its own form; itself where there is nothing of that. */
  plain(value: unknown): unknown {
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return value
      case 'number':
        return Number.isFinite(value) ? value : this.#stop(`the number ${value}, which JSON has no form for`)
      case 'object':
        return value === null ? null : this.#object(value)
      case 'bigint': {
        // Some programs teach it to all of them.
        const own = (BigInt.prototype as { toJSON?: unknown }).toJSON
        if (typeof own === 'function') return this.plain(own.call(value))
        return this.#stop('a bigint, which JSON has no form for: pass it as text or as a number')
      }
      case 'undefined':
        return this.#stop('undefined: pass null')
      case 'function':
      case 'symbol':
      default:
        return this.#stop(`a ${typeof value}: only data can be sent`)
    }
  }

  #object(value: object): unknown {
    if (Array.isArray(value)) return this.#inside(value, () => this.#items(value))
    if (value instanceof Date && value.toJSON === Date.prototype.toJSON)
      return Number.isNaN(value.getTime()) ? this.#stop('an invalid date') : value
    if (isPlain(value) && !hasMethod(value, 'toJSON')) return this.#inside(value, () => this.#members(value, value))
    return this.#instance(value)
  }

  #instance(value: object, asItIs = false): unknown {
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer)
      return this.#stop('bytes, which JSON has no form for: pass them as text')
    if (isBoxedPrimitive(value)) return this.plain(value.valueOf())
    if (hasMethod(value, toStatement) || builderOf(value) !== undefined)
      return this.#stop(`${describeType(value)}, which is SQL and no data`)
    if (!asItIs && hasMethod(value, 'toJSON')) {
      const key = this.#path.at(-1) ?? ''
      const own = (value as { toJSON(key: string): unknown }).toJSON(String(key))
      if (typeof own !== 'object' || own === null) return this.plain(own)
      // What it gives is taken as it is, whatever further form that has.
      return Array.isArray(own) ? this.#inside(own, () => [...this.#items(own)]) : this.#instance(own, true)
    }
    if (hasMethod(value, 'then')) return this.#stop(`${describeType(value)}, a promise: await it first`)
    if (isMap(value) || isSet(value) || isNativeError(value))
      return this.#stop(`${describeType(value)}, which JSON would make empty`)
    const members = this.#inside(value, () => this.#members(value, asItIs ? null : value))
    if (!isPlain(value) && Object.keys(value).length === 0)
      return this.#stop(`${describeType(value)}, which has no members of its own that JSON could show`)
    return members
  }

  #items(items: readonly unknown[]): readonly unknown[] {
    let made: unknown[] | null = null
    for (let i = 0; i < items.length; i++) {
      this.#path.push(i)
      const item = this.plain(items[i])
      this.#path.pop()
      if (made !== null) made.push(item)
      else if (item !== items[i]) made = [...items.slice(0, i), item]
    }
    return made ?? items
  }

  /** `same` is given back when no member changed; null: a copy is needed. A method that makes its form is no member. */
  #members(value: object, same: object | null): object {
    let made: Record<string, unknown> | null = same === null ? {} : null
    const keys = Object.keys(value)
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i] as string
      const given = (value as Readonly<Record<string, unknown>>)[key]
      if (given === undefined || (key === 'toJSON' && typeof given === 'function')) continue
      this.#path.push(key)
      const member = this.plain(given)
      this.#path.pop()
      if (made === null && member !== given) {
        made = {}
        for (const before of keys.slice(0, i))
          setMember(made, before, (value as Readonly<Record<string, unknown>>)[before])
      }
      if (made !== null) setMember(made, key, member)
    }
    return made ?? (same as object)
  }

  #inside<T>(value: object, work: () => T): T {
    const depth = this.#path.length
    if (depth < suspicious) return work()
    if (this.#around.has(value)) return this.#stop('an object that holds itself, which JSON cannot say')
    if (depth > deepest) return this.#stop(`more than ${deepest} levels`)
    this.#around.add(value)
    const done = work()
    this.#around.delete(value)
    return done
  }

  #stop(what: string): never {
    if (this.#path.length === 0) return this.#refuse(`is ${what}`)
    return this.#refuse(`holds, at ${pathText(this.#path)}, ${what}`)
  }
}

/** `__proto__` is a member like any other. */
function setMember(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__')
    Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true })
  else target[key] = value
}

const shownAtMost = 8

/** `.items[2].name`. Long paths are shortened, and keys that may be data are not shown. */
function pathText(path: readonly (string | number)[]): string {
  const shown = path.slice(0, shownAtMost)
  const text = shown.map((key) =>
    typeof key === 'number' ? `[${key}]` : /^[\w$]{1,40}$/.test(key) ? `.${key}` : '[…]',
  )
  return text.join('') + (path.length > shownAtMost ? '…' : '')
}
