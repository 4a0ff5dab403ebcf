// Routes the next statement of a scope that may still read from a replica. A scope reads from one replica as long as that fits. All
// else it does, and everything after that, goes to the primary, so that it never sees less than it has seen. It has one connection at a
// time: that of the replica goes back before it takes one of the primary.
import { EngineOp } from '../query/op.ts'
import { fromAround } from '../context/place.ts'
import type { Holding, Item } from '../slot/holding.ts'
import type { From } from '../core.ts'
import { type Reached, Reads } from './host.ts'
import type { Hosts } from './hosts.ts'

/** Where a new scope reads. One that borrows at once borrows there. */
export function openReads(
  hosts: Hosts,
  { from = null, lazy }: { readonly from?: From | null | undefined; readonly lazy?: boolean | undefined },
  after: Reached | null,
): Reads {
  const reads = new Reads(from, after)
  if (from === 'replica' && lazy === false) reads.host = hosts.choose(after)
  return reads
}

/** For a slot that does one thing, which a replica can do; null: none will do now. */
export function readsAlone(hosts: Hosts | null): Reads | null {
  const host = hosts?.forReads() ?? null
  if (host === null) return null
  const reads = new Reads(null, null)
  reads.host = host
  return reads
}

/** Called while `slot.reads` is there. False: the item has to wait for the reads that are on the wire. */
export function route(slot: Holding & { readonly spares: object | null }, item: Item): boolean {
  const reads = slot.reads as Reads
  // A turn that borrows nothing changes nothing, and a cursor keeps its transaction where it is.
  if (slot.top !== null || (!(item instanceof EngineOp) && !item.borrows)) return true
  if (mayRead(slot, reads, item) && keepsReading(slot, reads)) return true
  if (slot.spares !== null || slot.flight.size > 0) return false
  if (slot.lease !== null && (slot.lease.raw.inFlight > 0 || slot.lease.raw.quarantined)) return false
  slot.stayAtPrimary()
  return true
}

function mayRead(slot: Holding, { from }: Reads, item: Item): boolean {
  const hosts = slot.engine.hosts as Hosts
  if (from === 'primary' || slot.pins !== 0 || slot.leftBy !== null || slot.doubts !== null || slot.holds > 0)
    return false
  if (!(item instanceof EngineOp)) return item.reads
  const asked = item.from ?? fromAround(slot.engine, item.chain) ?? from ?? hosts.reads
  if (asked === 'primary') return false
  return hosts.isPlain(item) || (item.from === 'replica' && hosts.mayRead(item.stmt))
}

function keepsReading({ engine, lease }: Holding, reads: Reads): boolean {
  const hosts = engine.hosts as Hosts
  if (reads.host !== null) return hosts.serves(reads.host)
  if (lease === null) reads.host = hosts.choose(reads.after)
  return reads.host !== null
}
