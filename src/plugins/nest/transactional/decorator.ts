// `Transactional()`: a decorator for methods and classes, written as a function. It finds its database where Nest puts it:
// injected into the instance.
import { Inject } from '@nestjs/common'
import type { Db } from '../../../db/db.ts'
import { asExecutor, callOptions } from '../../../engine/handle.ts'
import { transactionChecks, type TransactionOptions } from '../../../engine/transaction/options.ts'
import { UsageError } from '../../../errors/index.ts'
import { must, type Checks, readAgain } from '../../../util/options.ts'
import { metadata } from '../metadata.ts'
import { getDbToken } from '../tokens.ts'
import { checkPropagation, propagate, type Propagation } from './propagation.ts'

/**
 * Options of the transaction, if the method begins one. If a method with `REQUIRED` is called in a transaction, `retry` has
 * no effect. Any of `isolation`, `readOnly`, `deferrable`, `timeoutMs`, `signal` and `query` then makes the method run in a
 * savepoint with these options. It is refused where a nested transaction with them would be.
 */
export interface TransactionalOptions extends Omit<TransactionOptions, 'reuse' | 'on'> {
  /** Default `REQUIRED`. */
  readonly propagation?: Propagation | undefined
  /** The name of the database. For classes that Nest does not make, a `db` itself. Default: the database without a name. */
  readonly db?: string | Db | undefined
}

const { reuse: _reuse, on: _on, ...transactionOf } = transactionChecks

const checks: Checks<TransactionalOptions> = {
  ...transactionOf,
  // Which modes there are is said where they are looked up.
  propagation: () => undefined,
  db: must('the name of a database or a db', (value) => typeof value === 'string' || asExecutor(value) !== null),
}

type Method = (this: unknown, ...given: unknown[]) => unknown

type AsyncMethod = (...given: never[]) => Promise<unknown>
type Class = abstract new (...given: never[]) => object

/** A decorator for methods that return a promise, and for classes. On a class it is for each method written with `async`. */
export interface TransactionalDecorator {
  <M extends AsyncMethod>(target: object, key: string | symbol, descriptor: TypedPropertyDescriptor<M>): void
  (target: Class): void
  /** The standard decorator. Nest injects nothing into it, so it needs the option `db` as an object. */
  <M extends AsyncMethod>(method: M, context: ClassMethodDecoratorContext): M
  (target: Class, context: ClassDecoratorContext): void
}

/**
 * Runs a method in a transaction, as its propagation says. The transaction is committed when the method's promise resolves,
 * and rolled back when it rejects.
 * @throws {UsageError} where it is written: for unknown modes and options, for something that is not a method, and for a
 *   class without a method written with `async`.
 * @throws {UsageError} where the method is called, when nobody has injected a database.
 */
export function Transactional(options?: TransactionalOptions): TransactionalDecorator {
  const {
    propagation = 'REQUIRED',
    db,
    ...rest
  } = callOptions<TransactionalOptions>(options, checks, 'Transactional()')
  const transaction = readAgain<TransactionOptions>(rest)
  checkPropagation(propagation, transaction)
  const wrapped = (method: Method, name: string, key: symbol | null): Method =>
    standIn(method, async function inTransaction(this: unknown, ...given: unknown[]): Promise<unknown> {
      const work = async (): Promise<unknown> => method.apply(this, given)
      return propagate(dbOf(this, db, key, name), propagation, transaction, name, work)
    })

  function decorate(...given: readonly unknown[]): unknown {
    const [target, second, descriptor] = given
    if (isContext(second)) return decorateByStandard(target as Method, second)
    if (given.length === 1) return decorateClass(target as Class)
    const { value } = Object(descriptor) as TypedPropertyDescriptor<unknown>
    if (typeof value !== 'function') throw new UsageError('Transactional() is for methods and classes.')
    const isStatic = typeof target === 'function'
    const name = `${isStatic ? target.name : (target as object).constructor.name}.${String(second)}`
    const key = isStatic ? null : inject(target as object, db)
    ;(descriptor as TypedPropertyDescriptor<unknown>).value = wrapped(value as Method, name, key)
    return undefined
  }

  function decorateByStandard(value: Method, context: DecoratorContext): unknown {
    if (context.kind === 'class') return decorateClass(value as unknown as Class)
    if (context.kind !== 'method') throw new UsageError('Transactional() is for methods and classes.')
    return wrapped(value, String(context.name), null)
  }

  function decorateClass(target: Class): void {
    const { prototype } = target as { prototype: object }
    const key = inject(prototype, db)
    let found = 0
    for (const name of Reflect.ownKeys(prototype)) {
      const descriptor = Object.getOwnPropertyDescriptor(prototype, name)
      const method = descriptor?.value as Method | undefined
      if (descriptor === undefined || name === 'constructor' || !isAsync(method)) continue
      found++
      if (transactional.has(method)) continue
      const value = wrapped(method, `${target.name}.${String(name)}`, key)
      Object.defineProperty(prototype, name, { ...descriptor, value })
    }
    if (found === 0) throw new UsageError(`Transactional() on ${target.name} has nothing to do: no method is async.`)
  }

  return decorate as TransactionalDecorator
}

/** Methods that were given a mode of their own. */
const transactional = new WeakSet<object>()

/** The new method with all that Nest and others know the old one by. */
function standIn(method: Method, wrapped: Method): Method {
  for (const key of metadata.getMetadataKeys(method))
    metadata.defineMetadata(key, metadata.getMetadata(key, method), wrapped)
  for (const key of ['name', 'length'] as const)
    Object.defineProperty(wrapped, key, { value: method[key], configurable: true })
  transactional.add(wrapped)
  return wrapped
}

function isAsync(method: unknown): method is Method {
  if (typeof method !== 'function') return false
  return transactional.has(method) || method.constructor.name === 'AsyncFunction'
}

function isContext(value: unknown): value is DecoratorContext {
  return typeof value === 'object' && value !== null && 'kind' in value && 'addInitializer' in value
}

/** Has Nest put the database on each instance, under a symbol of its name. Null: there is no need. */
function inject(prototype: object, db: string | Db | undefined): symbol | null {
  if (typeof db === 'object') return null
  const key = Symbol.for(`genever.db:${db ?? ''}`)
  Inject(getDbToken(db))(prototype, key)
  return key
}

function dbOf(self: unknown, db: string | Db | undefined, key: symbol | null, name: string): Db {
  if (typeof db === 'object') return db
  const injected = key === null ? undefined : (Object(self) as Record<symbol, Db | undefined>)[key]
  if (injected !== undefined) return injected
  throw new UsageError(
    `${name} has no database for its transaction: Nest has not injected one. Make its class a provider, or give ` +
      'Transactional() the option db.',
  )
}
