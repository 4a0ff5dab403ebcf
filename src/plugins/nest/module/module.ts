// `GeneverModule`: what applications import. It only describes modules; `core.ts` is what Nest then makes.
import { type DynamicModule, Module, type Provider } from '@nestjs/common'
import { APP_INTERCEPTOR, ModulesContainer } from '@nestjs/core'
import type { Db } from '../../../db/db.ts'
import { UsageError } from '../../../errors/index.ts'
import { GeneverHealthIndicator, getHealthToken } from '../health/indicator.ts'
import { readinessController } from '../health/route.ts'
import { TransactionInterceptor } from '../request/transaction-interceptor.ts'
import { getDbToken, getHostToken, getModelToken, type ModelClassLike } from '../tokens.ts'
import { convertsNotFound, GeneverCore, ownDb, ownHost } from './core.ts'
import { type Host, openHost } from './host.ts'
import type { GeneverAsyncOptions, GeneverModuleOptions, ModuleParts } from './options.ts'

const optionsToken: unique symbol = Symbol('genever.options')
/** Where the meta of a model hangs on its class. */
const modelMeta: unique symbol = Symbol.for('genever.model')

/** The module that opens a database for an application of NestJS. */
// oxlint-disable-next-line typescript/no-extraneous-class -- Nest's modules are classes
export class GeneverModule {
  /**
   * A database for the whole application, with a name or without one. It is opened before the application starts and closed
   * at its end. Each request has one lazy connection. Import the module once.
   * @throws {InvalidOptionError} from `NestFactory.create`, when options are wrong.
   * @throws {ConnectError} from `NestFactory.create`, when the database cannot be reached.
   * @throws {UsageError} from `NestFactory.create`, when two modules have one name.
   */
  static forRoot(options: GeneverModuleOptions = {}, name?: string): DynamicModule {
    return describe(name, options, null, { provide: optionsToken, useValue: options })
  }

  /** As `forRoot`, with options from a factory: `forRootAsync({ inject: [Config], useFactory: (config: Config) => ({ … }) })`. */
  static forRootAsync<const Args extends readonly unknown[]>(options: GeneverAsyncOptions<Args>): DynamicModule {
    const { name, imports = [], inject = [], useFactory } = options
    const factory = useFactory as unknown as (...args: unknown[]) => unknown
    const given = { provide: optionsToken, inject: [...inject], useFactory: factory }
    const module = describe(name, options, options, given)
    return { ...module, imports: [...imports] }
  }

  /**
   * Makes models injectable by `InjectModel`. They have to belong to the database of that name.
   * @throws {UsageError} from `NestFactory.create`, when a model belongs to another database.
   */
  static forFeature(models: readonly ModelClassLike[], name?: string): DynamicModule {
    const providers = models.map((model): Provider => ({
      provide: getModelToken(model),
      inject: [getDbToken(name)],
      useFactory: (db: Db) => checked(model, db, name),
    }))
    return { module: GeneverModule, providers, exports: models.map(getModelToken) }
  }
}

Module({})(GeneverModule)

function describe(
  name: string | undefined,
  { health, notFound, transaction }: ModuleParts,
  beside: ModuleParts | null,
  options: Provider,
): DynamicModule {
  const route = typeof health === 'string' ? { path: health } : health
  const dbToken = getDbToken(name)
  const healthToken = getHealthToken(name)
  const hostToken = getHostToken(name)
  const interceptors: Provider[] = []
  if (transaction !== undefined && transaction !== false)
    interceptors.push({
      provide: APP_INTERCEPTOR,
      inject: [ownHost],
      useFactory: (host: Host) => new TransactionInterceptor(host),
    })
  return {
    module: GeneverCore,
    global: true,
    controllers: route === undefined ? [] : [readinessController(route, dbToken, name)],
    providers: [
      options,
      { provide: convertsNotFound, useValue: notFound !== false },
      {
        provide: ownHost,
        inject: [ModulesContainer, optionsToken],
        useFactory: (modules: ModulesContainer, given: GeneverModuleOptions) => openHost(modules, name, given, beside),
      },
      { provide: hostToken, useExisting: ownHost },
      { provide: dbToken, inject: [ownHost], useFactory: ({ plugin }: Host) => plugin.db },
      { provide: ownDb, useExisting: dbToken },
      { provide: healthToken, inject: [dbToken], useFactory: (db: Db) => new GeneverHealthIndicator(db) },
      ...interceptors,
    ],
    exports: [hostToken, dbToken, healthToken],
  }
}

function checked(model: ModelClassLike, db: Db, name: string | undefined): ModelClassLike {
  const meta = (model as { readonly [modelMeta]?: { readonly db: Db } })[modelMeta]
  if (meta === undefined) throw new UsageError(`forFeature() takes classes made by Model(); ${model.name} is not one.`)
  if (meta.db !== db)
    throw new UsageError(
      `The model ${model.name} was made with another db than the one of ` +
        `${name === undefined ? 'GeneverModule.forRoot(options)' : `GeneverModule.forRoot(options, '${name}')`}. ` +
        'Give that module the db of the model, by its option db.',
    )
  return model
}
