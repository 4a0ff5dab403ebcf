// The statics of every model. They know their table by `this` alone, so that what an editor shows of them is short, and a
// subclass gets its own instances.
import type { Column, SQL } from 'drizzle-orm'
import type { Fragment } from '../../sql/tag.ts'
import type { Handle } from '../../engine/handle.ts'
import type { ModelDelete } from '../crud/static-delete.ts'
import type { ModelUpdate } from '../crud/static-update.ts'
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
import type { ModelQuery } from './query.ts'
import type { Simplify } from './values.ts'

type Types<C extends AnyModel> = C[typeof modelTypes]

export interface ModelStatics {
  /**
   * Inserts a row and gives its instance, with what the database filled in. Takes values, or an instance made by `new`, which
   * it completes.
   * @throws {UnknownColumnError} for keys that there are not.
   * @throws {ValidationError} when the option `validate` refuses the values.
   * @throws {UniqueViolationError} and its kin, for what the database refuses.
   */
  create<C extends AnyModel>(
    this: C,
    values: Types<C>['insert'],
    options?: CallOptions | Handle,
  ): Promise<InstanceType<C>>
  /** Inserts many rows, all or nothing; instances are in the order of the values. Throws as `create()`. */
  createMany<C extends AnyModel>(
    this: C,
    values: readonly Types<C>['insert'][],
    options?: CallOptions | Handle,
  ): Promise<InstanceType<C>[]>
  /** Inserts the row, unless one with its key is there: then gives undefined. (SQL: ON CONFLICT DO NOTHING.) */
  createOrIgnore<C extends AnyModel>(
    this: C,
    values: Types<C>['insert'],
    options?: IgnoreOptions<keyof Types<C>['row'] & string> | Handle,
  ): Promise<InstanceType<C> | undefined>
  /** Inserts the rows that are not there yet, and gives instances of these. */
  createManyOrIgnore<C extends AnyModel>(
    this: C,
    values: readonly Types<C>['insert'][],
    options?: IgnoreOptions<keyof Types<C>['row'] & string> | Handle,
  ): Promise<InstanceType<C>[]>
  /** Inserts the row, or changes the one that is there with its key; gives the row in both cases. */
  upsert<C extends AnyModel>(
    this: C,
    values: Types<C>['insert'],
    options?: UpsertOptions<keyof Types<C>['row'] & string, Types<C>['set']> | Handle,
  ): Promise<InstanceType<C>>
  /** The same with many rows, all or nothing; instances are in the order of the values. */
  upsertMany<C extends AnyModel>(
    this: C,
    values: readonly Types<C>['insert'][],
    options?: UpsertOptions<keyof Types<C>['row'] & string, Types<C>['set']> | Handle,
  ): Promise<InstanceType<C>[]>
  /**
   * Reads the row with this key; undefined when there is none. A composite key is an object, or a list in the order of `pk`.
   * @throws {UsageError} when the key has another form, or the model has none.
   */
  get<C extends AnyModel>(
    this: C,
    id: Types<C>['id'],
    options?: CallOptions | Handle,
  ): Promise<InstanceType<C> | undefined>
  /** Reads the row with this key. @throws {NotFoundError} with status 404 when there is none. (GINO: `get_or_404`.) */
  getOr404<C extends AnyModel>(this: C, id: Types<C>['id'], options?: CallOptions | Handle): Promise<InstanceType<C>>

  /** All rows as instances, to be narrowed, ordered, joined, loaded; runs when it is awaited. */
  query<C extends AnyModel>(this: C): ModelQuery<InstanceType<C>>
  /**
   * The rows of which this holds, as instances: a condition of Drizzle, or an object of equal members.
   * @throws {UnknownColumnError} for a member that the model has not.
   */
  where<C extends AnyModel>(
    this: C,
    condition: SQL | Fragment | Filter<Types<C>['row']> | undefined,
  ): ModelQuery<InstanceType<C>>
  /** Plain objects of some columns and JSON properties. @throws {UnknownColumnError} for others. */
  select<C extends AnyModel, const K extends keyof Types<C>['row'] & string>(
    this: C,
    ...keys: readonly K[]
  ): ModelQuery<Simplify<Pick<Types<C>['row'], K>>, Types<C>['row']>
  /** Changes many rows by one statement: those of `.where(…)`, or `.everyRow()`. Gives their number. */
  update<C extends AnyModel>(
    this: C,
    values: Types<C>['set'],
  ): ModelUpdate<InstanceType<C>, Types<C>['row'], Types<C>['set']>
  /** Deletes many rows by one statement: those of `.where(…)`, or `.everyRow()`. Gives their number. */
  delete<C extends AnyModel>(this: C): ModelDelete<InstanceType<C>, Types<C>['row']>

  /**
   * How rows become instances with other objects attached: `Team.load({ company: Company, members: many(User) })`.
   * @throws {UsageError} for a name that a column or method has.
   */
  load<C extends AnyModel, M extends Record<string, LoaderLike>>(
    this: C,
    map: M,
  ): Loader<InstanceType<C> & { [K in keyof M]: Attach<M[K]> }>
  /** A loader that joins by this condition instead of the foreign key. */
  on<C extends AnyModel>(this: C, condition: SQL | Fragment): Loader<InstanceType<C>>
  /** A loader that makes one instance of rows with equal values of these columns; default the primary key. */
  distinct<C extends AnyModel>(this: C, ...by: Column[]): Distinct<InstanceType<C>>
  /** The same table under another name, for self-joins. @throws {UsageError} for a name that is empty. */
  alias<C extends AnyModel>(this: C, name: string): Aliased<C>
  /** The model over a subquery that has its columns, such as `q.select().from(users).as('recent')`. */
  inQuery<C extends AnyModel>(this: C, subquery: object): Aliased<C>
  /** The same model on another database of its db. @throws {UsageError} for a name that there is not. */
  using<C extends AnyModel>(this: C, name: Types<C>['names']): C
}
