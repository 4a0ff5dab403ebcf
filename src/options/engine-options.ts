// The options of an engine: what can be given, and what it becomes. Types only; options.ts checks, merges and fills in
// defaults. Groups are nested, durations end in `Ms`, an option that is `undefined` has its default.
import type { PeerCertificate, SecureContextOptions, SecureVersion } from 'node:tls'

/**
 * What options know of a driver object: its shape. The layer of drivers is above this one.
 */
export interface DriverLike {
  readonly name: string
  readonly dialect?: 'postgres' | 'mysql' | undefined
  open(...given: never[]): unknown
  parse(options: Readonly<Record<string, unknown>>): unknown
}

export type IsolationLevel = 'read uncommitted' | 'read committed' | 'repeatable read' | 'serializable'

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

export interface PoolOptions {
  /** Connections kept open even when idle. Default 0. */
  readonly min?: number | undefined
  /** The most connections open at a time. Default 10. PGlite always has 1. */
  readonly max?: number | undefined
  /**
   * How many connections at a time may be shared by quick reads outside of scopes and transactions, on drivers that take
   * several statements at once; of no effect on the others, which are `pg` and PGlite. 0: none. Default 4, at most `max`.
   */
  readonly shared?: number | undefined
  /**
   * Whether reads that are issued together in a scope run side by side, on connections that are idle and that nobody waits
   * for. Default true. Only reads that cannot change anything and do not ask for their session do.
   */
  readonly spareReads?: boolean | undefined
  /** How many may wait for a connection; one more fails with `TooManyWaitersError`. Default `Infinity`. */
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

/**
 * Options of an engine. Unknown ones are refused, all together. What neither URL nor options say of a PostgreSQL server is
 * read from the variables of libpq (`PGHOST`, `PGPASSWORD`, …).
 *
 * @typeParam C The connection that `onConnect` gets; the layer of engines says what it is.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- its type belongs to a layer above; unknown would refuse callbacks
export interface EngineOptions<C = any> {
  /**
   * Default: what the URL says; `pglite` if `directory` or `memory` is given; else `postgres`, which is served by `pg` for
   * the time being.
   */
  readonly driver?: 'postgres' | 'pg' | 'pglite' | DriverLike | undefined
  /** A name, an address, or the directory of a Unix socket, which starts with `/`. Default `localhost`. */
  readonly host?: string | undefined
  /** Default 5432. */
  readonly port?: number | undefined
  /**
   * Several servers instead of `host` and `port`: each connection goes to the first that can be reached and that
   * `targetSessionAttrs` allows. In a URL: `postgres://app@one:5432,two:5432/shop`.
   */
  readonly hosts?: readonly { readonly host: string; readonly port?: number | undefined }[] | undefined
  /**
   * Which of several servers will do, as libpq's `target_session_attrs`; a single one that will not do is refused as well.
   * Default `any`.
   */
  readonly targetSessionAttrs?:
    | 'any'
    | 'read-write'
    | 'read-only'
    | 'primary'
    | 'standby'
    | 'prefer-standby'
    | undefined
  /** True: several servers are tried in a random order for each connection (libpq's `load_balance_hosts`). Default false. */
  readonly loadBalanceHosts?: boolean | undefined
  /** Default `postgres`. */
  readonly user?: string | undefined
  /** A function is asked for every connection that is opened. Default: none. */
  readonly password?: string | (() => string | Promise<string>) | undefined
  /** Default: the name of the user. */
  readonly database?: string | undefined
  /** PGlite: the directory of the data. */
  readonly directory?: string | undefined
  /** PGlite in memory: true for one of its own, which is the default, or the name of one that is shared in this process. */
  readonly memory?: true | string | undefined
  /**
   * True: TLS with a certificate that is valid for the host (`sslmode=verify-full`). An object changes details of that, or
   * of the `sslmode` of the URL. Default: the `sslmode`, else false. Of no effect on Unix sockets and PGlite: no network.
   */
  readonly ssl?: boolean | TlsOptions | undefined
  /**
   * Whether the password exchange is bound to the certificate of the server, as libpq's `channel_binding`: `require` refuses
   * a server that cannot, `prefer` does it if the server can. Default `disable`.
   */
  readonly channelBinding?: 'disable' | 'prefer' | 'require' | undefined
  /**
   * Whether the password may be sent as it is to a server that asks for it so, although no verified TLS says who the server is:
   * for networks that are trusted. In a URL `require_auth=password`, or `require_auth=!password` for false. Default: only to a
   * server on this machine, by a Unix socket or a loopback address.
   */
  readonly allowCleartextPassword?: boolean | undefined
  /** What the server shows for these connections. Default: none. Of no effect on PGlite. */
  readonly applicationName?: string | undefined
  /** Settings every session starts with and every reset restores: `{ search_path: 'app' }`. Default: none. */
  readonly settings?: Readonly<Record<string, string | number | boolean>> | undefined
  readonly pool?: PoolOptions | undefined
  readonly query?:
    | {
        /** How long a statement may take, waiting included. Default: no limit (`undefined` or `Infinity`). */
        readonly timeoutMs?: number | undefined
      }
    | undefined
  /** Opening the engine: what to do when the database cannot be reached. */
  readonly retry?:
    | {
        /** How many further attempts after the first. Default 0; `Infinity`: for ever. */
        readonly limit?: number | undefined
        /** The pause before each of them. Default 1_000. */
        readonly intervalMs?: number | undefined
      }
    | undefined
  /** Of every transaction that does not say otherwise; `_`, `-` and upper case are understood. Default: the server's. */
  readonly isolation?: IsolationLevel | Uppercase<IsolationLevel> | (string & {}) | undefined
  /**
   * Of every transaction that does not say otherwise, those of cursors too: how long code may keep it open without running a
   * statement in it. Default: no limit of ours (`undefined` or `Infinity`); the server may have one.
   */
  readonly transactionIdleTimeoutMs?: number | undefined
  /**
   * Of every transaction that does not say otherwise, but not those of cursors: how long the server may be asked what became
   * of a COMMIT whose answer did not come. Default 0: it is not asked, and a transaction has no further round trip.
   */
  readonly resolveCommitMs?: number | undefined
  /** Prepares the session of each new connection, within `pool.connectTimeoutMs`. (GINO: `init`.) */
  readonly onConnect?: ((connection: C) => unknown) | undefined
  /** Prints every statement to standard error, or gives the line to a function; never parameters. Default false. */
  readonly echo?: boolean | ((line: string) => void) | undefined
  /** Tells where connections are held without being used. It costs a capture of the stack for each scope, handle and borrow. */
  readonly leak?:
    | {
        /** How long code may hold a connection without running a statement, outside of `idle()`. Default `Infinity`: never told. */
        readonly afterMs?: number | undefined
      }
    | undefined
  /** False: no prepared statements, for connection poolers that cannot keep them. Default true; with `pooler` false. */
  readonly prepare?: boolean | undefined
  /**
   * A pooler between us and the server that lends its connections for one transaction at a time: PgBouncer with `pool_mode =
   * transaction` and the like. Then nothing is left to the session: no prepared statements, no reset; the `settings` of scopes
   * and `isolation` are set in each transaction; statements that change the session are refused, as are `settings`, `onConnect`,
   * `prepare`, `prebake` and `reset: 'always'`. Default: none.
   */
  readonly pooler?: 'transaction' | undefined
  /**
   * Prepares every statement that was baked on the `db` on each new connection, behind `onConnect` and within
   * `pool.connectTimeoutMs`; as many as `statementCacheSize` keeps. Default false: each when it first runs there.
   */
  readonly prebake?: boolean | undefined
  /** How many statements stay prepared on each connection; 0: none. Default 256. */
  readonly statementCacheSize?: number | undefined
  /** When a connection that comes back is reset: if something changed its session (`dirty`, the default), or `always`. */
  readonly reset?: 'dirty' | 'always' | undefined
  /** What 8-byte integers become. Default `number`, which refuses what it cannot hold. */
  readonly int8?: 'number' | 'bigint' | 'string' | undefined
  /** How long `close()` waits for connections to come back. Default 10_000. */
  readonly closeTimeoutMs?: number | undefined
  /** How long cleaning a session may take before its connection is closed. Default 5_000. */
  readonly resetTimeoutMs?: number | undefined
  /** How long the server may take to stop a statement before its connection is closed. Default 5_000. */
  readonly cancelTimeoutMs?: number | undefined
  /** How the engine is called in notices, events and `echo`. Default: host, port and database. */
  readonly name?: string | undefined
}

/** Options with nothing left to decide, frozen; printing or serialising them shows no secret. Units as in `EngineOptions`. */
// oxlint-disable-next-line typescript/no-explicit-any -- as above
export interface ResolvedOptions<C = any> {
  readonly name: string
  /** `pg`, `pglite`, or the object that was given. */
  readonly driver: string | DriverLike
  readonly dialect: 'postgres' | 'mysql'
  /**
   * What `driver.parse` gets. For `pg`: `host` and `port`, or `places` where there are several; `user`, `database`, `ssl`,
   * `int8`, `statementCacheSize` always; `password`, `applicationName`, `settings`, `options` (of the start-up message),
   * `targetSessionAttrs`, `loadBalanceHosts`, `channelBinding`, `sslFallback`, `sslNegotiation`, `keepAlive` and
   * `keepAliveIdleMs` if given. For `pglite`: `directory` or
   * `memory`, and `int8`. For a driver of one's own: what was given.
   *
   * `password` is always a function, so that no form of printing can see it. `ssl` is false or options of `node:tls` in
   * which certificates and keys have become a `secureContext`, for the same reason.
   */
  readonly connection: Readonly<Record<string, unknown>>
  readonly pool: Readonly<{ [K in keyof Required<PoolOptions>]: NonNullable<PoolOptions[K]> }>
  /** `Infinity`: no limit. */
  readonly query: { readonly timeoutMs: number }
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
  readonly pooler: 'transaction' | undefined
  readonly prepare: boolean
  readonly prebake: boolean
  readonly statementCacheSize: number
  readonly reset: 'dirty' | 'always'
  readonly int8: 'number' | 'bigint' | 'string'
  readonly closeTimeoutMs: number
  readonly resetTimeoutMs: number
  readonly cancelTimeoutMs: number
  /** `postgres://app@localhost:5432/shop`: safe in messages. */
  readonly describe: () => string
}
