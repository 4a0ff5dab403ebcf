// The session of the shell: the tenant and the transaction in which its lines run.
import type { Status } from '../engine/query/execute.ts'
import type { ManualTransaction } from '../engine/transaction/transaction.ts'
import type { Row } from '../engine/query/executor.ts'
import type { TenantStay } from '../db/places.ts'
import { CommandLineError } from '../errors/index.ts'
import { pathOf, wrongSchema } from '../migrations/targets.ts'
import { inRoot } from '../util/context.ts'
import type { Project } from './project.ts'

export interface ShellFlags {
  readonly rollback?: boolean | undefined
  readonly tenant?: string | undefined
}

export class ShellSession {
  readonly #project: Project
  readonly #rollback: boolean
  #tenant: string | null = null
  /** At a tenant of a registry, or at none on purpose. */
  #stay: TenantStay | null = null
  #transaction: ManualTransaction | null = null

  private constructor(project: Project, rollback: boolean) {
    this.#project = project
    this.#rollback = rollback
  }

  static async begin(project: Project, { rollback = false, tenant }: ShellFlags): Promise<ShellSession> {
    const session = new ShellSession(project, rollback)
    await project.db.open()
    if (project.db.tenantKind !== null || tenant !== undefined) await session.useTenant(tenant ?? '')
    if (rollback) await session.beginTransaction()
    return session
  }

  get prompt(): string {
    return `genever${this.#tenant === null ? '' : ` ${this.#tenant}`}${this.#transaction === null ? '' : ' *'}> `
  }

  /** Runs `work` where lines of the shell run: in nothing of the line before. */
  within<T>(work: () => Promise<T>): Promise<T> {
    return inRoot(() => {
      const transaction = this.#transaction
      const inside = transaction === null ? work : (): Promise<T> => transaction.run(work)
      if (this.#stay !== null) return this.#stay.run(inside)
      return this.#tenant === null || transaction !== null ? inside() : this.#inTenant(inside)
    })
  }

  status(text: string): Promise<Status<Row>> {
    return this.within(() => this.#project.db.status(text))
  }

  async useTenant(name: string): Promise<string | undefined> {
    if (this.#transaction !== null)
      throw new CommandLineError('A transaction is open, which has its search path already. End it first.')
    const { db } = this.#project
    if (db.tenantKind !== null) {
      const stay = await inRoot(() => db.enterTenant(name === '' ? null : tenantOf(name)))
      this.#stay?.end()
      this.#stay = stay
    } else if (name !== '') {
      const wrong = await inRoot(() => wrongSchema(db, [name]))
      if (wrong !== null) throw new CommandLineError(`${wrong}. Name a schema that is there.`)
    }
    this.#tenant = name === '' ? null : name
    return undefined
  }

  async beginTransaction(): Promise<string | undefined> {
    if (this.#transaction !== null)
      throw new CommandLineError('A transaction is open already. End it by .commit or .rollback.')
    const { db } = this.#project
    const begin = (): Promise<ManualTransaction> => db.begin()
    this.#transaction = await this.within(begin)
    return undefined
  }

  async commit(): Promise<string> {
    if (this.#rollback) throw new CommandLineError('This shell was started with --rollback: nothing is committed.')
    await this.#open().commit()
    this.#transaction = null
    return 'COMMIT'
  }

  async rollback(): Promise<string> {
    await this.#open().rollback()
    this.#transaction = null
    if (this.#rollback) await this.beginTransaction()
    return 'ROLLBACK'
  }

  /** Rolls back what is open. */
  async end(): Promise<void> {
    await this.#transaction?.rollback().catch(() => {})
    this.#stay?.end()
  }

  #open(): ManualTransaction {
    if (this.#transaction === null) throw new CommandLineError('No transaction is open. Begin one by .begin.')
    return this.#transaction
  }

  #inTenant<T>(work: () => Promise<T>): Promise<T> {
    const { db, migrations } = this.#project
    return db.scope(work, { settings: { search_path: pathOf(this.#tenant ?? '', migrations?.shared ?? []) } })
  }
}

/** Tenants that are objects or numbers are written as JSON. */
function tenantOf(name: string): unknown {
  if (!/^[{["]|^\d+$/.test(name)) return name
  try {
    return JSON.parse(name)
  } catch (cause) {
    throw new CommandLineError(
      'The tenant begins like JSON and cannot be read as JSON. Check its quotes and brackets.',
      { cause },
    )
  }
}
