// The members of Drizzle's objects that are read, as far as both versions have them. Types only.
import type { DimensionsLike } from '../../builder/drizzle/core/dimensions.ts'
import type { SqlLike } from '../../builder/drizzle/core/render.ts'

export interface EnumParts {
  readonly enumName: string
  readonly enumValues: readonly string[]
  readonly schema: string | undefined
}

export type SequenceNumber = number | string | bigint

export interface SequenceOptions {
  readonly increment?: SequenceNumber
  readonly minValue?: SequenceNumber
  readonly maxValue?: SequenceNumber
  readonly startWith?: SequenceNumber
  readonly cache?: SequenceNumber
  readonly cycle?: boolean
}

export interface SequenceParts {
  readonly seqName: string | undefined
  readonly schema: string | undefined
  readonly seqOptions: SequenceOptions | undefined
}

export interface ColumnParts extends DimensionsLike {
  readonly name: string
  readonly notNull: boolean
  readonly primary: boolean
  readonly default: unknown
  readonly isUnique: boolean
  /** In 1.0 undefined when the user gave none; in 0.45 then the implicit one. */
  readonly uniqueName?: string | undefined
  readonly uniqueType?: string | undefined
  readonly generated?: { readonly as: unknown } | undefined
  readonly generatedIdentity?:
    | {
        readonly type: 'always' | 'byDefault'
        readonly sequenceName?: string
        readonly sequenceOptions?: SequenceOptions
      }
    | undefined
  /** 0.45: the element of an array. */
  readonly baseColumn?: ColumnParts
  readonly enum?: EnumParts
  readonly srid?: number
  getSQLType(): string
  mapToDriverValue(value: unknown): unknown
}

/** 1.0 tells names the user gave from its own. */
interface Named {
  readonly isNameExplicit?: boolean
}

export interface UniqueParts extends Named {
  readonly name: string | undefined
  readonly columns: readonly ColumnParts[]
  readonly nullsNotDistinct: boolean
}

export interface PrimaryKeyParts extends Named {
  readonly name?: string | undefined
  readonly columns: readonly ColumnParts[]
  getName(): string
}

export interface ForeignKeyParts {
  readonly onDelete: string | undefined
  readonly onUpdate: string | undefined
  reference(): {
    readonly name?: string | undefined
    readonly columns: readonly ColumnParts[]
    readonly foreignTable: object
    readonly foreignColumns: readonly ColumnParts[]
  }
  getName(): string
  isNameExplicit?(): boolean
}

export interface IndexedColumnParts {
  readonly name: string
  readonly indexConfig?: {
    readonly order?: 'asc' | 'desc' | undefined
    readonly nulls?: 'first' | 'last' | undefined
    readonly opClass?: string | undefined
  }
}

export interface IndexParts {
  readonly config: {
    readonly name?: string | undefined
    readonly columns: readonly (IndexedColumnParts | SqlLike)[]
    readonly unique: boolean
    readonly method?: string | undefined
    readonly with?: Readonly<Record<string, unknown>> | undefined
    readonly where?: SqlLike | undefined
  }
}

export interface RoleParts {
  readonly name: string
  readonly createDb?: boolean | undefined
  readonly createRole?: boolean | undefined
  readonly inherit?: boolean | undefined
  readonly _existing?: boolean | undefined
}

export interface PolicyParts {
  readonly name: string
  readonly as?: string | undefined
  readonly for?: string | undefined
  readonly to?: string | RoleParts | readonly (string | RoleParts)[] | undefined
  readonly using?: SqlLike | undefined
  readonly withCheck?: SqlLike | undefined
  readonly _linkedTable?: object | undefined
}

export interface TableParts {
  readonly name: string
  readonly schema: string | undefined
  readonly columns: readonly ColumnParts[]
  readonly indexes: readonly IndexParts[]
  readonly foreignKeys: readonly ForeignKeyParts[]
  readonly checks: readonly { readonly name: string; readonly value: SqlLike }[]
  readonly primaryKeys: readonly PrimaryKeyParts[]
  readonly uniqueConstraints: readonly UniqueParts[]
  readonly policies: readonly PolicyParts[]
  readonly enableRLS: boolean
}

export interface ViewParts {
  readonly name: string
  readonly schema: string | undefined
  /** Undefined when the view exists already and is only described. */
  readonly query: SqlLike | undefined
  readonly selectedFields: Readonly<Record<string, unknown>>
  readonly with?: Readonly<Record<string, unknown>> | undefined
  readonly using?: string | undefined
  readonly tablespace?: string | undefined
  readonly withNoData?: boolean | undefined
  /** MySQL only. */
  readonly algorithm?: string | undefined
  readonly sqlSecurity?: string | undefined
  readonly withCheckOption?: string | undefined
}
