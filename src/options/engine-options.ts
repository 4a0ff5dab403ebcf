// The options of an engine: what can be given, and what it becomes. Types only; options.ts checks, merges and fills in
// defaults. Groups are nested, durations end in `Ms`, an option that is `undefined` has its default.
import type { Descriptor, DriverOptions } from '../driver/descriptor.ts'
import type { Driver } from '../driver/driver.ts'
import type { DriverName } from '../driver/registry.ts'
import type { Conversions, TypeConversions } from '../sql/conversions.ts'
import type { IsolationLevel } from '../sql/dialect.ts'
import type { Tags, TagValues } from '../sql/tags.ts'
import type { PeerCertificate, SecureContextOptions, SecureVersion } from 'node:tls'

/** TLS by name of `node:tls`. Everything not given is as `node:tls` has it, but the certificate is always checked by default. */
export interface TlsOptions {
  /** Certificates of the authorities to trust instead of Node's own list: their text, not a path. */
  readonly ca?: SecureContextOptions['ca'] | undefined
  readonly cert?: SecureContextOptions['cert'] | undefined
  readonly key?: SecureContextOptions['key'] | undefined
  readonly passphrase?: string | undefined
  readonly pfx?: SecureContextOptions['pfx'] | undefined
  readonly ciphers?: string | undefined
  readonly minVersion?: SecureVersion | undefined
  readonly maxVersion?: SecureVersion | undefined
  /** The name the server's certificate must have; default: the host. */
  readonly servername?: string | undefined
  /** False: any certificate will do, so anybody on the way can read and change everything. Default true. */
  readonly rejectUnauthorized?: boolean | undefined
  /** Returns an error to refuse a certificate that is valid in itself. Default: that of `node:tls`, which compares the name. */
  readonly checkServerIdentity?: ((host: string, certificate: PeerCertificate) => Error | undefined) | undefined
}

/** The option `pool`. */
export interface PoolOptions {
  /** Connections kept open even when idle. Default 0. */
  readonly min?: number | undefined
  /** The most connections open at a time. Default 10. PGlite always has 1. */
  readonly max?: number | undefined
  /**
   * How many connections quick reads outside of scopes and transactions may share as they come. On the others those that wait leave
   * together when one gets free. It matters for drivers that take several statements at once, not for `pg` and PGlite. 0: none share.
   * Default 4, at most `max`.
   */
  readonly shared?: number | undefined
  /**
   * Whether reads of the same text that share a connection and are issued together are answered together: several times as many
   * per second. When one of them fails, the others are sent once more, alone. Off unless `isolation` is `read committed`, the default.
   * Default true.
   */
  readonly batchReads?: boolean | undefined
  /**
   * Whether reads that are issued together in a scope run side by side. They use idle connections that nobody waits for.
   * Only reads that cannot change anything and do not ask for their session do so. Default true.
   */
  readonly spareReads?: boolean | undefined
  /** How many may wait for a connection. The next one fails with `TooManyWaitersError`. Default `Infinity`. */
  readonly maxWaiting?: number | undefined
  /** How long one may wait for a connection, opening it included. Default 30_000; `Infinity`: for ever. */
  readonly acquireTimeoutMs?: number | undefined
  /** How long opening one connection may take, from the look-up of the name to the end of `onConnect`. Default 10_000. */
  readonly connectTimeoutMs?: number | undefined
  /** A connection above `min` is closed after this time of idleness. Default 30_000; `Infinity`: never. */
  readonly idleTimeoutMs?: number | undefined
  /** A connection is replaced at this age (less up to a tenth, so that not all go at once). Default 1_800_000; `Infinity`: never. */
  readonly maxLifetimeMs?: number | undefined
}

/** The option `replicas`. */
export interface ReplicaOptions {
  /**
   * The URLs of the servers that follow the primary. One URL may name several of them. A URL without user, password or
   * database takes those of the primary.
   */
  readonly urls: readonly string[]
  /**
   * Where plain reads outside of transactions go when they have no `from`. Default `replica`. `primary`: a replica gets only
   * reads with `from: 'replica'`.
   */
  readonly reads?: 'replica' | 'primary' | undefined
  /**
   * How far a replica may be behind, in milliseconds. One that may be further behind gets no reads. After a write of this
   * engine, reads outside of scopes go to the primary for this time. Default 10_000.
   */
  readonly maxLagMs?: number | undefined
}

/**
 * Options of an engine. Unknown options are refused, all in one error. Facts about a PostgreSQL server that neither the URL
 * nor the options give are read from the variables of libpq (`PGHOST`, `PGPASSWORD`, …).
 *
 * @typeParam C The connection that `onConnect` gets. The layer of engines says which type it is.
 */
export interface EngineOptions<C = never> extends DriverOptions {
  /**
   * The name of a driver, or a driver object. Default: the driver that the URL says, or `pglite` if `directory` or `memory`
   * is given. Otherwise it is `socket`, Genever's own driver of PostgreSQL, which `postgres` means too. `pg` is node-postgres,
   * whose package `pg` has to be installed. `drivers.add()` of `genever/driver` adds others.
   */
  readonly driver?: DriverName | (string & {}) | Driver | undefined
  /** A name, an address, or the directory of a Unix socket, which starts with `/`. Default `localhost`. */
  readonly host?: string | undefined
  /** Default 5432. */
  readonly port?: number | undefined
  /**
   * Several servers instead of `host` and `port`. Each connection goes to the first server that can be reached and that
   * `targetSessionAttrs` allows. In a URL: `postgres://app@one:5432,two:5432/shop`.
   */
  readonly hosts?: readonly { readonly host: string; readonly port?: number | undefined }[] | undefined
  /**
   * Which of several servers will do, as libpq's `target_session_attrs`. A single server is checked as well, and refused if
   * it will not do. Default `any`.
   */
  readonly targetSessionAttrs?:
    | 'any'
    | 'read-write'
    | 'read-only'
    | 'primary'
    | 'standby'
    | 'prefer-standby'
    | undefined
  /** True: each connection tries several servers in a random order (libpq's `load_balance_hosts`). Default false. */
  readonly loadBalanceHosts?: boolean | undefined
  /** Default `postgres`. */
  readonly user?: string | undefined
  /**
   * A password, or a function that is called for every connection that is opened. Default: the one in the password file
   * (`~/.pgpass`), if any.
   */
  readonly password?: string | (() => string | Promise<string>) | undefined
  /** Default: the name of the user. */
  readonly database?: string | undefined
  /** PGlite: the directory of the data. */
  readonly directory?: string | undefined
  /**
   * PGlite in memory. True (the default): the engine has its own database. A name: the database of that name is shared in
   * this process.
   */
  readonly memory?: true | string | undefined
  /**
   * True: TLS with a certificate that is valid for the host (`sslmode=verify-full`). An object changes details of that, or
   * of the `sslmode` of the URL. Default: the `sslmode`, else false. It has no effect on Unix sockets and PGlite, which use
   * no network.
   */
  readonly ssl?: boolean | TlsOptions | undefined
  /**
   * Whether the password exchange is bound to the certificate of the server, as libpq's `channel_binding`. `require` refuses
   * a server that cannot do it. `prefer` does it if the server can. Default `prefer`, and with `driver: 'pg'` `disable`.
   */
  readonly channelBinding?: 'disable' | 'prefer' | 'require' | undefined
  /**
   * Whether the password may be sent in clear text when the server asks for that and no verified TLS proves which server it
   * is. Use it only in networks that you trust. In a URL: `require_auth=password`, or `require_auth=!password` for false.
   * Default: only to a server on this machine, over a Unix socket or a loopback address.
   */
  readonly allowCleartextPassword?: boolean | undefined
  /** The name that the server shows for these connections. Default: none. It has no effect on PGlite. */
  readonly applicationName?: string | undefined
  /** Settings that every session starts with and that every reset restores: `{ search_path: 'app' }`. Default: none. */
  readonly settings?: Readonly<Record<string, string | number | boolean>> | undefined
  readonly pool?: PoolOptions | undefined
  /** Servers that follow the one in the URL, for reads. Each has a pool with the options `pool`. Default: none. */
  readonly replicas?: ReplicaOptions | undefined
  /**
   * Corrections to what Genever finds out about functions of the database. By their source it judges which of them may leave
   * something in a session, such as a setting or a lock. Names are without schema.
   */
  readonly functions?:
    | {
        /** Functions that leave nothing behind, whatever their source looks like. Default: none. */
        readonly harmless?: readonly string[] | undefined
        /** Functions that leave something behind, although their source does not show it. Default: none. */
        readonly stateful?: readonly string[] | undefined
      }
    | undefined
  readonly query?:
    | {
        /** How long a statement may take, waiting included. Default: no limit (`undefined` or `Infinity`). */
        readonly timeoutMs?: number | undefined
        /**
         * What the server shows behind the text of each statement, such as `{ application: 'shop' }`, in the form of
         * sqlcommenter: `/*application='shop'*\/`. Default: nothing. See `query.tags` of scopes.
         */
        readonly tags?: TagValues | undefined
      }
    | undefined
  /** Further attempts to open the engine when the database cannot be reached. */
  readonly retry?:
    | {
        /** The number of further attempts after the first. Default 0. `Infinity`: for ever. */
        readonly limit?: number | undefined
        /** The pause before each of them. Default 1_000. */
        readonly intervalMs?: number | undefined
      }
    | undefined
  /**
   * The isolation level of every transaction that does not set its own. Upper case, `_` and `-` are understood. Default: the
   * server's.
   */
  readonly isolation?: IsolationLevel | Uppercase<IsolationLevel> | (string & {}) | undefined
  /**
   * How long code may keep a transaction open without running a statement in it. It holds for every transaction that does
   * not set its own limit, those of cursors too. Default: no limit of ours (`undefined` or `Infinity`). The server may have
   * one.
   */
  readonly transactionIdleTimeoutMs?: number | undefined
  /**
   * How long to ask the server whether a COMMIT took effect when its answer did not come. It holds for every transaction
   * that does not set its own value, but not for those of cursors. Default 0: the server is not asked, and a transaction has
   * no further round trip.
   */
  readonly resolveCommitMs?: number | undefined
  /** Prepares the session of each new connection, within `pool.connectTimeoutMs`. (GINO: `init`.) */
  readonly onConnect?: ((connection: C) => unknown) | undefined
  /** Prints every statement to standard error, or passes the line to a function. Parameters are never printed. Default false. */
  readonly echo?: boolean | ((line: string) => void) | undefined
  /** Reports where connections are held without being used. It costs a capture of the stack for each scope, handle and borrow. */
  readonly leak?:
    | {
        /**
         * How long code may hold a connection without running a statement, outside of `idle()`. Default `Infinity`: nothing
         * is reported.
         */
        readonly afterMs?: number | undefined
      }
    | undefined
  /** The notice `slow-statement`, with the place of the caller. It measures the time of each statement. */
  readonly slow?:
    | {
        /** How long a statement may run, from sending to its last answer. Default `Infinity`: nothing is told. */
        readonly afterMs?: number | undefined
      }
    | undefined
  /** For development: the notice `repeated-statement`, with the place of the caller. It counts the statements of each scope. */
  readonly repeats?:
    | {
        /** How often one scope, request or transaction may send the same text. Default `Infinity`: nothing is told. */
        readonly afterTimes?: number | undefined
      }
    | undefined
  /**
   * False: no prepared statements. Default true; with `pooler` false. With `pooler` and `true` they are prepared by names that are
   * made of their texts, for a pooler that keeps them: PgBouncer 1.21 and newer, with `max_prepared_statements`. Each new connection
   * asks its pooler, in two round trips. Where it keeps none they run unnamed, and the notice `statements-unprepared` says so once.
   */
  readonly prepare?: boolean | undefined
  /**
   * A pooler in front of the server that lends its connections for one transaction at a time, such as PgBouncer with
   * `pool_mode = transaction`. The engine then leaves nothing in the session: it resets nothing, and
   * prepares statements only if `prepare` is true.
   * The `settings` of scopes and `isolation` are set in each transaction. Statements that change the session are refused.
   * The options `settings`, `onConnect`, `reset: 'always'`, and `prebake` without `prepare` are refused too.
   *
   * `'session'`: it lends a session for as long as the connection is open, such as PgBouncer with `pool_mode = session`. Nothing changes
   * by that. Without the option, settings and other session state are refused where such a pooler is found. Default: none.
   */
  readonly pooler?: 'transaction' | 'session' | undefined
  /**
   * Prepares every statement that was baked on the `db` on each new connection, after `onConnect` and within
   * `pool.connectTimeoutMs`. At most `statementCacheSize` statements are prepared. Default false: each is prepared when it
   * first runs there.
   */
  readonly prebake?: boolean | undefined
  /** How many statements stay prepared on each connection; 0: none. Default 256. */
  readonly statementCacheSize?: number | undefined
  /**
   * When a connection that comes back is reset. `dirty` (the default): if something changed its session. `always`: every
   * time.
   */
  readonly reset?: 'dirty' | 'always' | undefined
  /** The JavaScript type of 8-byte integers. Default `number`: an integer that is too large for it is refused. */
  readonly int8?: 'number' | 'bigint' | 'string' | undefined
  /**
   * Whose time a `timestamp` has, which has no zone: that of UTC, or that of the zone of this process, as node-postgres has it.
   * With `local` a `Date` given for a `timestamp` or a `date` is written so too. For SQL text, `db.sql` and Kysely; models and Drizzle
   * have UTC. Default `utc`.
   */
  readonly timestamp?: 'utc' | 'local' | undefined
  /**
   * How values of a type are read, and how objects are written as parameters of it: by the name or the OID of the type. It holds for
   * SQL text, `db.sql` and Kysely; models and Drizzle read columns as their tables declare. The notice `types-unknown` has the names
   * that are no types of the database. Default: as the table of types in the docs says.
   */
  readonly types?: TypeConversions | undefined
  /** How long `close()` waits for connections to come back, and for a database that is being opened. Default 10_000. */
  readonly closeTimeoutMs?: number | undefined
  /** How long cleaning a session may take before its connection is closed. Default 5_000. */
  readonly resetTimeoutMs?: number | undefined
  /** How long the server may take to stop a statement before its connection is closed. Default 5_000. */
  readonly cancelTimeoutMs?: number | undefined
  /** The name of the engine in notices, events and `echo`. Default: host, port and database. */
  readonly name?: string | undefined
}

export interface ResolvedReplicas {
  /** The servers of the source first. They are taken for the primary until they have been asked. */
  readonly hosts: readonly {
    /** Host and port. */
    readonly name: string
    /** As `connection` of the engine. */
    readonly connection: Readonly<Record<string, unknown>>
    readonly ofSource: boolean
  }[]
  readonly reads: 'replica' | 'primary'
  readonly maxLagMs: number
}

/** Options with nothing left to decide, frozen; printing or serialising them shows no secret. Units as in `EngineOptions`. */
export interface ResolvedOptions<C = never> {
  readonly name: string
  /** The name of the driver, or the object that was given. */
  readonly driver: string | Driver
  /** The description of the driver. */
  readonly descriptor: Descriptor
  readonly dialect: string
  /**
   * The options that `driver.parse` gets.
   *
   * - `pg`: always `host` and `port` (`places` if there are several servers), `user`, `database`, `ssl`, `int8` and
   *   `statementCacheSize`.
   * - `pg`, if given: `password`, `applicationName`, `settings`, `options` (of the start-up message) and
   *   `targetSessionAttrs`. Also `loadBalanceHosts`, `channelBinding`, `sslFallback`, `sslNegotiation`, `keepAlive` and
   *   `keepAliveIdleMs`.
   * - `pglite`: `directory` or `memory`, and `int8`.
   * - Your own driver: the options that were given.
   *
   * `password` is always a function, so that no form of printing can see it. `ssl` is false or options of `node:tls`.
   * Certificates and keys have become a `secureContext` there, for the same reason.
   */
  readonly connection: Readonly<Record<string, unknown>>
  /** Null without replicas. */
  readonly replicas: ResolvedReplicas | null
  readonly pool: Readonly<{ [K in keyof Required<PoolOptions>]: NonNullable<PoolOptions[K]> }>
  readonly functions: { readonly harmless: readonly string[]; readonly stateful: readonly string[] }
  /** `Infinity`: no limit. */
  readonly query: { readonly timeoutMs: number; readonly tags: Tags | undefined }
  readonly retry: { readonly limit: number; readonly intervalMs: number }
  readonly isolation: IsolationLevel | undefined
  /** `Infinity`: no limit. */
  readonly transactionIdleTimeoutMs: number
  /** 0: not at all. */
  readonly resolveCommitMs: number
  readonly onConnect: ((connection: C) => unknown) | undefined
  readonly echo: boolean | ((line: string) => void)
  /** `Infinity`: no report. */
  readonly leak: { readonly afterMs: number }
  /** `Infinity`: no notice. */
  readonly slow: { readonly afterMs: number }
  /** `Infinity`: no notice. */
  readonly repeats: { readonly afterTimes: number }
  readonly pooler: 'transaction' | undefined
  readonly prepare: boolean
  readonly prebake: boolean
  readonly statementCacheSize: number
  readonly reset: 'dirty' | 'always'
  readonly int8: 'number' | 'bigint' | 'string'
  /** Null: nobody has said anything. */
  readonly types: Conversions | null
  readonly closeTimeoutMs: number
  readonly resetTimeoutMs: number
  readonly cancelTimeoutMs: number
  /** `postgres://app@localhost:5432/shop`: safe in messages. */
  readonly describe: () => string
}
