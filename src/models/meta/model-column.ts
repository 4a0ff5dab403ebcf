// One column of a model: its key in TypeScript, its name in the database, how its values travel.
import type { Column } from 'drizzle-orm'
import { type ColumnLike, type Decode, decodeOf, encode, isArrayColumn } from '../../builder/drizzle/core/codec.ts'
import { dialectOf, isJsonType } from '../../builder/drizzle/core/render.ts'
import { GeneverError, ParameterError } from '../../errors/index.ts'
import type { ColumnSpec } from '../../sql/compiled.ts'
import { describeType } from '../../util/options.ts'
import { type Judge, judgeOf } from './judge.ts'

const lists = /^Pg(?:Vector|HalfVector|PointTuple|Line|Geometry)$/

export class ModelColumn {
  readonly key: string
  /** Among the columns of its table. */
  readonly index: number
  readonly name: string
  /** The name as SQL. */
  readonly quoted: string
  /** The name as JSON. */
  readonly jsonName: string
  readonly column: Column
  /** Never written: a generated column, or an identity that is always generated. */
  readonly readOnly: boolean
  /** Each update of the row may give it another value: a generated column, or one with ON UPDATE CURRENT_TIMESTAMP. */
  readonly isRecomputed: boolean
  /** The database numbers it where it has no value. */
  readonly isNumbered: boolean
  readonly isJson: boolean
  /** Its values are lists. */
  readonly isArray: boolean
  readonly isCustom: boolean
  /** Whether a row can have such a key; undefined: only the server can tell. */
  readonly judge: Judge | undefined

  constructor(key: string, column: Column, index: number) {
    const like = column as unknown as ColumnLike
    this.key = key
    this.index = index
    this.column = column
    this.name = column.name
    this.quoted = dialectOf(column).quote(column.name)
    this.jsonName = JSON.stringify(column.name)
    const isGenerated = column.generated !== undefined
    this.readOnly = isGenerated || column.generatedIdentity?.type === 'always'
    this.isRecomputed = isGenerated || (column as { readonly hasOnUpdateNow?: boolean }).hasOnUpdateNow === true
    this.isArray = isArrayColumn(like) || lists.test(like.columnType)
    this.isNumbered =
      (column as { readonly autoIncrement?: boolean }).autoIncrement === true || like.columnType === 'MySqlSerial'
    this.isJson = !this.isArray && isJsonType(like.columnType)
    this.judge = this.isArray ? undefined : judgeOf(like.columnType)
    this.isCustom = like.columnType.endsWith('CustomColumn')
  }

  /** The parameter of a value. SQL expressions are handled by the caller. @throws {ParameterError} when it does not fit. */
  encode(value: unknown): unknown {
    try {
      return encode(this.column, value, this.key)
    } catch (cause) {
      throw this.refuse(value, cause)
    }
  }

  /** The error for a value that does not fit; without the value. */
  refuse(value: unknown, cause: unknown): Error {
    if (cause instanceof GeneverError) return cause
    return new ParameterError(
      `The value of column '${this.key}' cannot be written as ${this.column.getSQLType()}: it is ${describeType(value)}.`,
      { clientError: true },
    )
  }

  /** How the driver reads it. Once the tables are loaded that its table names: a key is read exactly. */
  get decode(): Decode {
    return decodeOf(this.column)
  }

  /** Where the driver puts it in a row, and as what. */
  spec(prefix: readonly string[] = [], nullGroup?: number): ColumnSpec {
    const path = [...prefix, this.key]
    return nullGroup === undefined ? { path, ...this.decode } : { path, ...this.decode, nullGroup }
  }
}
