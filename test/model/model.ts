// What the pages "Connections and context" and "Transactions" promise, as a program without a server: frames, slots,
// transactions, savepoints, session state. It is written from the pages, not from the source.
import type { ScopeWishes, Seen, World } from './play.ts'
import type { Executors } from './program.ts'

/** Which connection a statement has to have. */
export interface Session {
  /** The borrow it belongs to; null: any connection that is free. */
  readonly lease: number | null
  /** Nothing takes the connection away before the borrow ends. */
  readonly kept: boolean
  /** Borrows of others that go on meanwhile, with whether they are kept. */
  readonly others: ReadonlyMap<number, boolean>
}

/** A connection of a scope, a transaction or a handle: at most one raw connection at a time. */
interface Slot {
  lease: number | null
  /** From `acquire()`, or by the option `hold`. */
  readonly holds: boolean
  readonly tenant: string
  pin: string
  live: boolean
  idle: number
  readonly open: Transaction[]
}

interface Hook {
  readonly on: 'commit' | 'rollback'
  readonly work: () => void
  undone: boolean
}

interface Transaction {
  readonly slot: Slot
  live: boolean
  failed: boolean
  /** It ends early, whatever its callback does with what was thrown. */
  decided: Exit | null
  readonly rows: number[]
  readonly hooks: Hook[]
}

type Frame = { readonly outer: Frame | null; live: boolean } & (
  | { readonly kind: 'scope'; readonly slot: Slot; readonly tenant: string }
  /** A scope whose connection is not ambient, or that reuses another's. */
  | { readonly kind: 'passed over'; readonly tenant: string }
  | { readonly kind: 'run'; readonly slot: Slot }
  | { readonly kind: 'transaction'; readonly transaction: Transaction }
  | { readonly kind: 'detached' }
)

interface Handle {
  readonly slot: Slot
  /** The transaction it was made in. */
  readonly transaction: Transaction | null
  readonly owner: boolean
  live: boolean
}

export interface Place {
  readonly frame: Frame | null
  readonly handle: Handle | null
  readonly connection: Handle | null
  readonly transactions: readonly Transaction[]
}

class Refused extends Error {
  constructor(name: string) {
    super(name)
    this.name = name
  }
}

class Exit extends Refused {
  readonly transaction: Transaction
  readonly kind: 'commit' | 'rollback'
  readonly value: string

  constructor(transaction: Transaction, kind: 'commit' | 'rollback', value: string) {
    super('TransactionExit')
    this.transaction = transaction
    this.kind = kind
    this.value = value
  }
}

export class Model implements World<Place> {
  readonly root: Place = { frame: null, handle: null, connection: null, transactions: [] }
  readonly #committed: number[] = []
  readonly #slots = new Set<Slot>()
  #leases = 0

  async look(here: Place, by: Executors): Promise<Seen> {
    const slot = this.#where(here, by)
    const seen = this.#run(slot, () => ({
      session: {
        lease: slot?.lease ?? null,
        kept: slot !== null && kept(slot),
        others: new Map(
          [...this.#slots]
            .filter((each) => each !== slot && each.lease !== null)
            .map((each) => [each.lease as number, kept(each)]),
        ),
      } satisfies Session,
      tenant: slot?.tenant ?? tenantAt(here.frame),
      pin: slot?.pin ?? '',
      rows: [...this.#committed, ...(slot?.open ?? []).flatMap(({ rows }) => rows)].toSorted((a, b) => a - b),
    }))
    return seen
  }

  async insert(here: Place, by: Executors, n: number): Promise<void> {
    const slot = this.#where(here, by)
    this.#run(slot, () => (slot?.open.at(-1)?.rows ?? this.#committed).push(n))
  }

  async fail(here: Place, by: Executors): Promise<void> {
    const slot = this.#where(here, by)
    this.#run(slot, () => {
      const transaction = slot?.open.at(-1)
      if (transaction !== undefined) transaction.failed = true
      throw new Refused('QueryError')
    })
  }

  async pin(here: Place, value: string): Promise<void> {
    const slot = this.#where(here, 'db')
    if (slot === null) throw new Refused('UsageError')
    this.#run(slot, () => (slot.pin = value))
  }

  async wait(): Promise<void> {}

  async forNow({ frame, connection }: Place): Promise<void> {
    if (connection === null || !connection.live || !connection.owner) return
    const { slot } = connection
    if (slot.open.length > 0 || slot.pin !== '') throw new Refused('TransactionStateError')
    outlived(frame, slot)
    slot.lease = null
  }

  current(here: Place): boolean {
    try {
      return found(here.frame) !== null
    } catch {
      return false
    }
  }

  async hook(here: Place, on: 'commit' | 'rollback', work: () => void): Promise<void> {
    const transaction = found(here.frame)?.open.at(-1)
    if (transaction !== undefined) transaction.hooks.push({ on, work, undone: false })
    else if (on === 'commit') work()
  }

  async scope(here: Place, wishes: ScopeWishes, work: (inside: Place) => Promise<void>): Promise<void> {
    const { reuse, reusable, hold } = wishes
    const around = reuse ? found(here.frame) : null
    const inherited = tenantAt(here.frame)
    const tenant = wishes.tenant ? 'a' : inherited
    if (around !== null && tenant !== around.tenant) throw new Refused('TransactionStateError')
    const slot = around ?? this.#slot(tenant, hold)
    const ambient = reusable && around === null
    const frame: Frame = ambient
      ? { kind: 'scope', outer: here.frame, live: true, slot, tenant }
      : { kind: 'passed over', outer: here.frame, live: true, tenant }
    const handle: Handle = { slot, transaction: slot.open.at(-1) ?? null, owner: around === null, live: true }
    try {
      await work({ ...here, frame, handle, connection: handle })
    } finally {
      frame.live = false
      handle.live = false
      if (around === null) this.#back(slot)
    }
  }

  async transaction(here: Place, reuse: boolean, work: (inside: Place) => Promise<void>): Promise<unknown> {
    const around = reuse ? found(here.frame) : null
    const slot = around ?? this.#slot(tenantAt(here.frame), false)
    const outer = slot.open.at(-1) ?? null
    admit(slot)
    const transaction: Transaction = { slot, live: true, failed: false, decided: null, rows: [], hooks: [] }
    slot.open.push(transaction)
    slot.lease ??= ++this.#leases
    const frame: Frame = { kind: 'transaction', outer: here.frame, live: true, transaction }
    const handle: Handle = { slot, transaction, owner: false, live: true }
    let ended: { readonly value: unknown } | { readonly error: unknown }
    let keeps = true
    try {
      await work({ ...here, frame, handle, transactions: [...here.transactions, transaction] })
      const exit = decision(slot)
      if (exit !== undefined) throw exit
      ended = { value: undefined }
    } catch (error) {
      const exit = error instanceof Exit ? error.transaction.decided : null
      ended = exit?.transaction === transaction ? { value: exit.value } : { error }
      keeps = exit?.kind === 'commit' && exit.transaction.slot === slot
    }
    if (keeps && transaction.failed) {
      ended = { error: new Refused('TransactionAbortedError') }
      keeps = false
    }
    frame.live = false
    transaction.live = false
    slot.open.pop()
    if (keeps) (outer?.rows ?? this.#committed).push(...transaction.rows)
    else for (const hook of transaction.hooks) hook.undone = true
    if (around === null) this.#back(slot)
    else this.#rest(slot)
    if (outer !== null) outer.hooks.push(...transaction.hooks)
    else for (const { on, work: run, undone } of transaction.hooks) if ((on === 'rollback') === undone) run()
    if ('error' in ended) throw ended.error
    return ended.value
  }

  raise(here: Place, kind: 'commit' | 'rollback', outermost: boolean, value: string): never {
    const transaction = here.transactions.at(outermost ? 0 : -1) as Transaction
    if (!transaction.live) throw new Refused('TransactionStateError')
    const exit = new Exit(transaction, kind, value)
    if (transaction.decided === null || kind === 'rollback') transaction.decided = exit
    throw exit
  }

  async acquire(here: Place, ambient: boolean, work: (inside: Place) => Promise<void>): Promise<void> {
    const slot = this.#slot(tenantAt(here.frame), true)
    slot.lease = ++this.#leases
    const handle: Handle = { slot, transaction: null, owner: true, live: true }
    const frame: Frame | null = ambient ? { kind: 'run', outer: here.frame, live: true, slot } : here.frame
    try {
      await work({ ...here, frame, handle, connection: handle })
    } finally {
      if (ambient && frame !== null) frame.live = false
      handle.live = false
      this.#back(slot)
    }
  }

  async idle(here: Place, work: () => Promise<void>): Promise<void> {
    let slot: Slot | null = null
    try {
      slot = found(here.frame)
    } catch (error) {
      // There is nothing to give back where statements are refused for their settings.
      if ((error as Refused).name !== 'TransactionStateError') throw error
    }
    if (slot === null) return work()
    slot.idle++
    this.#rest(slot)
    try {
      await work()
    } finally {
      slot.idle--
    }
  }

  async detached(here: Place, work: (inside: Place) => Promise<void>): Promise<void> {
    await work({ ...this.root, frame: { kind: 'detached', outer: here.frame, live: true } })
  }

  captured(work: () => Promise<void>): () => Promise<void> {
    return work
  }

  #slot(tenant: string, holds: boolean): Slot {
    const slot: Slot = { lease: null, holds, tenant, pin: '', live: true, idle: 0, open: [] }
    this.#slots.add(slot)
    return slot
  }

  #back(slot: Slot): void {
    slot.live = false
    slot.lease = null
    this.#slots.delete(slot)
  }

  /** In the pool while `idle` is active, unless something is open or set. */
  #rest(slot: Slot): void {
    if (slot.idle > 0 && slot.open.length === 0 && slot.pin === '') slot.lease = null
  }

  /** Null: any free connection. */
  #where(here: Place, by: Executors): Slot | null {
    const { handle } = here
    if (by === 'db' || handle === null) return found(here.frame)
    if (handle.transaction !== null && !handle.transaction.live) throw new Refused('TransactionEndedError')
    if (!handle.live || !handle.slot.live) throw new Refused('ReleasedConnectionError')
    outlived(here.frame, handle.slot)
    return handle.slot
  }

  #run<R>(slot: Slot | null, statement: () => R): R {
    if (slot === null) return statement()
    admit(slot)
    slot.lease ??= ++this.#leases
    try {
      return statement()
    } finally {
      this.#rest(slot)
    }
  }
}

/** Refuses what runs in a transaction that has failed or is about to end early. */
function admit(slot: Slot): void {
  const exit = decision(slot)
  if (exit !== undefined) throw exit
  if (slot.open.at(-1)?.failed === true) throw new Refused('TransactionAbortedError')
}

/** Code of a transaction that has ended cannot use its connection any more, through any handle. */
function outlived(from: Frame | null, slot: Slot): void {
  for (let frame = from; frame !== null && frame.kind !== 'detached'; frame = frame.outer)
    if (frame.kind === 'transaction' && !frame.live && frame.transaction.slot === slot)
      throw frame.transaction.decided ?? new Refused('TransactionEndedError')
}

function decision(slot: Slot): Exit | undefined {
  return slot.open.find(({ decided }) => decided !== null)?.decided ?? undefined
}

function kept(slot: Slot): boolean {
  return slot.holds || slot.open.length > 0 || slot.pin !== ''
}

/** The rules of look-up: the connection that is ambient, null where there is none. */
function found(from: Frame | null): Slot | null {
  /** Settings that what is found has to have; where only scopes that have ended ask for them, something has to be found. */
  let asked = ''
  let must = false
  /** A scope that has ended is in between: nothing outside of it is shared any more. */
  let none = false
  for (let frame = from; frame !== null && frame.kind !== 'detached'; frame = frame.outer) {
    if (frame.kind === 'transaction' && !frame.live && !none) throw new Refused('TransactionEndedError')
    if (frame.kind === 'scope' || frame.kind === 'passed over') {
      if (frame.tenant !== '') {
        asked ||= frame.tenant
        must = !frame.live
      }
      none ||= frame.kind === 'scope' && !frame.live
    }
    if (none && !must) return null
    if (frame.live && frame.kind !== 'passed over') {
      const slot = frame.kind === 'transaction' ? frame.transaction.slot : frame.slot
      if (asked !== '' && slot.tenant !== asked) throw new Refused('TransactionStateError')
      return none ? null : slot
    }
  }
  if (must) throw new Refused('TransactionStateError')
  return null
}

/** The settings in force at a place. */
function tenantAt(from: Frame | null): string {
  if (from === null) return ''
  switch (from.kind) {
    case 'detached':
      return ''
    case 'run':
      return from.slot.tenant
    case 'transaction':
      return from.transaction.slot.tenant
    case 'scope':
    case 'passed over':
      if (!from.live) found(from)
      return from.tenant
  }
}
