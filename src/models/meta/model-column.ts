// One column of a model: its key in TypeScript, its name in the database, how its values travel.
import type { Column } from 'drizzle-orm'
import { type ColumnLike, type Decode, decodeOf, encode } from '../../builder/drizzle/core/codec.ts'
import { quoteName } from '../../builder/drizzle/core/render.ts'
import type { ColumnSpec } from '../../sql/compiled.ts'

export class ModelColumn {
  readonly key: string
  readonly name: string
  /** The name as SQL. */
  readonly quoted: string
  readonly column: Column
  readonly decode: Decode
  /** Never written: a generated column, or an identity that is always generated. */
  readonly readOnly: boolean
  readonly isJson: boolean

  constructor(key: string, column: Column) {
    const like = column as unknown as ColumnLike
    this.key = key
    this.column = column
    this.name = column.name
    this.quoted = quoteName(column.name)
    this.decode = decodeOf(like)
    this.readOnly = column.generated !== undefined || column.generatedIdentity?.type === 'always'
    this.isJson = like.columnType === 'PgJsonb' || like.columnType === 'PgJson'
  }

  /** The parameter of a value. SQL expressions are handled by the caller. */
  encode(value: unknown): unknown {
    return encode(this.column as unknown as ColumnLike, value)
  }

  /** Where the driver puts it in a row, and as what. */
  spec(prefix: readonly string[] = [], nullGroup?: number): ColumnSpec {
    const path = [...prefix, this.key]
    return nullGroup === undefined ? { path, ...this.decode } : { path, ...this.decode, nullGroup }
  }
}
