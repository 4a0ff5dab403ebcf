// The statics of every model. They know their table by `this` alone, so that what an editor shows of them is short, and a
// subclass gets its own instances.
import type { Column, SQL } from 'drizzle-orm'
import type { Fragment } from '../../sql/tag.ts'
import type { Handle } from '../../engine/context/frame.ts'
import type { ModelDelete, ModelUpdate } from './writes.ts'
import type { Attach, Loader, LoaderLike } from './loader.ts'
import type {
  Aliased,
  AnyModel,
  CallOptions,
  Distinct,
  Filter,
  IgnoreOptions,
  modelTypes,
  UpsertOptions,
} from './model.ts'
import type { Attached } from './plain.ts'
import type { ModelQuery } from './query.ts'
import type { Simplify } from './values.ts'

type Types<C extends AnyModel> = C[typeof modelTypes]

/** The static methods of every model. */
export interface ModelStatics {
  /**
   * Inserts a row and returns its instance, with the values that the database filled in. It takes values, or an instance
   * made by `new`, which it completes.
   * @throws {UnknownColumnError} for unknown keys.
   * @throws {ValidationError} when the option `validate` refuses the values.
   * @throws {UniqueViolationError} and the other violation errors, when the database refuses the row.
   */
  create<C extends AnyModel>(
    this: C,
    values: Types<C>['insert'],
    options?: CallOptions | Handle,
  ): Promise<InstanceType<C>>
  /** Inserts many rows, all or nothing. The instances are in the order of the values. Throws the errors of `create()`. */
  createMany<C extends AnyModel>(
    this: C,
    values: readonly Types<C>['insert'][],
    options?: CallOptions | Handle,
  ): Promise<InstanceType<C>[]>
  /** Inserts the row. If one with its key exists, returns undefined. (SQL: ON CONFLICT DO NOTHING.) */
  createOrIgnore<C extends AnyModel>(
    this: C,
    values: Types<C>['insert'],
    options?: IgnoreOptions<keyof Types<C>['row'] & string> | Handle,
  ): Promise<InstanceType<C> | undefined>
  /** Inserts the rows that do not exist yet, and returns their instances. */
  createManyOrIgnore<C extends AnyModel>(
    this: C,
    values: readonly Types<C>['insert'][],
    options?: IgnoreOptions<keyof Types<C>['row'] & string> | Handle,
  ): Promise<InstanceType<C>[]>
  /** Inserts the row, or changes the existing one with its key. Returns the row in both cases. */
  upsert<C extends AnyModel>(
    this: C,
    values: Types<C>['insert'],
    options?: UpsertOptions<keyof Types<C>['row'] & string, Types<C>['set']> | Handle,
  ): Promise<InstanceType<C>>
  /** The same for many rows, all or nothing. The instances are in the order of the values. */
  upsertMany<C extends AnyModel>(
    this: C,
    values: readonly Types<C>['insert'][],
    options?: UpsertOptions<keyof Types<C>['row'] & string, Types<C>['set']> | Handle,
  ): Promise<InstanceType<C>[]>
  /**
   * Reads the row with this key, or returns undefined. A composite key is an object, or a list in the order of `pk`.
   * @throws {UsageError} when the key has another form, or the model has no key.
   */
  get<C extends AnyModel>(
    this: C,
    id: Types<C>['id'],
    options?: CallOptions | Handle,
  ): Promise<InstanceType<C> | undefined>
  /** Reads the row with this key. @throws {NotFoundError} with status 404 when there is none. (GINO: `get_or_404`.) */
  getOr404<C extends AnyModel>(this: C, id: Types<C>['id'], options?: CallOptions | Handle): Promise<InstanceType<C>>

  /** A query for all rows as instances. Add conditions, order, joins or a loader to it. It runs when awaited. */
  query<C extends AnyModel>(this: C): ModelQuery<InstanceType<C>>
  /**
   * A query for the rows that match a Drizzle condition, or an object of equal members.
   * @throws {UnknownColumnError} for a member that the model does not have.
   */
  where<C extends AnyModel>(
    this: C,
    condition: SQL | Fragment | Filter<Types<C>['row']> | undefined,
  ): ModelQuery<InstanceType<C>>
  /** Plain objects of some columns and JSON properties. @throws {UnknownColumnError} for others. */
  select<C extends AnyModel, const K extends readonly (keyof Types<C>['row'] & string)[]>(
    this: C,
    ...keys: K
  ): ModelQuery<Simplify<Pick<Types<C>['row'], K[number]>>, Types<C>['row'], Types<C>['row'][K[0]]>
  /** Changes many rows by one statement: those of `.where(…)`, or `.everyRow()`. Returns their number. */
  update<C extends AnyModel>(
    this: C,
    values: Types<C>['set'],
  ): ModelUpdate<InstanceType<C>, Types<C>['row'], Types<C>['set']>
  /** Deletes many rows by one statement: those of `.where(…)`, or `.everyRow()`. Returns their number. */
  delete<C extends AnyModel>(this: C): ModelDelete<InstanceType<C>, Types<C>['row']>

  /**
   * A loader that makes instances with other objects attached: `Team.load({ company: Company, members: many(User) })`.
   * @throws {UsageError} for a name that a column or method already has.
   */
  load<C extends AnyModel, M extends Record<string, LoaderLike>>(
    this: C,
    map: M,
  ): Loader<InstanceType<C> & { [K in keyof M]: Attach<M[K], InstanceType<C>> } & Attached<keyof M>>
  /** A loader that joins by this condition instead of the foreign key. */
  on<C extends AnyModel>(this: C, condition: SQL | Fragment): Loader<InstanceType<C>>
  /** A loader that makes one instance from rows with equal values in these columns. Default: the primary key. */
  distinct<C extends AnyModel>(this: C, ...by: Column[]): Distinct<InstanceType<C>>
  /** The same table under another name, for self-joins. @throws {UsageError} for an empty name. */
  alias<C extends AnyModel>(this: C, name: string): Aliased<C>
  /** The model over a subquery that has its columns, such as `q.select().from(users).as('recent')`. */
  inQuery<C extends AnyModel>(this: C, subquery: object): Aliased<C>
  /**
   * The same model on another database of its registry, for a tenant or in a schema. It overrides the place of the code
   * around it.
   * @throws {UsageError} for an unknown name. @throws {TenantError} for an impossible tenant or schema name.
   */
  using<C extends AnyModel>(this: C, where: Types<C>['places']): C
}
