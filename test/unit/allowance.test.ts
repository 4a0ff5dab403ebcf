/** Connections that pools have together: each is counted once, and nobody waits for one that lies idle. */

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Member } from '../../src/pool/member.ts'
import { Allowance, type Sharer } from '../../src/pool/allowance.ts'
import { Share, type Sharing } from '../../src/pool/share.ts'
import { clock } from '../../src/util/clock.ts'
import { fc } from '../support/fast-check.ts'
import { fakeClock, realClock } from '../support/virtual-time.ts'

beforeEach(fakeClock)
afterEach(realClock)

/** What a pool does around its share, without connections. */
class FakePool implements Sharing {
  done = false
  readonly opening = 0
  readonly max: number
  readonly members = new Set<Member>()
  readonly idle: Member[] = []
  readonly closing: { readonly member: Member; readonly left: () => void }[] = []
  looks = 0
  readonly recall = { schedule: (): void => void this.looks++ }
  readonly share: Share
  waiting: number[] = []

  constructor(allowance: Allowance, max: number) {
    this.max = max
    this.share = new Share(this, allowance)
  }

  get size(): number {
    return this.members.size
  }

  waitingSince(nth: number): number | undefined {
    return this.waiting[nth]
  }

  holders(): string[] {
    return []
  }

  serving(): Member[] {
    return [...this.members].filter(({ state }) => state === 'serving')
  }

  fill(): void {
    while (this.waiting.length > 0 && this.size < this.max && this.share.admits(true)) {
      this.members.add({ state: 'serving', outgoing: false, ending: false } as Member)
      this.waiting.shift()
    }
  }

  retire(member: Member): void {
    const at = this.idle.indexOf(member)
    if (at >= 0) this.idle.splice(at, 1)
    member.state = 'closing'
    this.closing.push({ member, left: this.share.leaving(member) })
  }

  ask(): void {
    const member = this.idle.pop()
    if (member !== undefined) member.state = 'serving'
    else {
      this.waiting.push(clock.now())
      this.fill()
    }
  }

  finish(): void {
    const [member] = this.serving()
    if (member === undefined) return
    if (member.outgoing) this.retire(member)
    else if (this.waiting.shift() === undefined) {
      Object.assign(member, { state: 'idle', idleSince: clock.now() })
      this.idle.push(member)
      this.share.allowance.noteQuiet()
    }
  }

  /** The server has ended one that was closed. */
  end(): void {
    const closed = this.closing.shift()
    if (closed === undefined) return
    this.lost(closed.member)
    closed.left()
  }

  lose(): void {
    const [member] = this.members
    if (member !== undefined && member.state !== 'closing') this.lost(member)
  }

  lost(member: Member): void {
    const at = this.idle.indexOf(member)
    if (at >= 0) this.idle.splice(at, 1)
    this.members.delete(member)
    this.share.ended(member)
    this.fill()
  }
}

class World {
  readonly allowance: Allowance
  readonly pools: FakePool[]
  /** Connections beyond those of pools: those that are there. */
  apart = 0
  claiming = 0
  engine = new AbortController()

  constructor(most: number, maxes: readonly number[]) {
    this.allowance = new Allowance(most)
    this.pools = maxes.map((max) => new FakePool(this.allowance, max))
  }

  async claim(): Promise<void> {
    this.claiming++
    if (await this.allowance.claim(clock.now() + 60_000, this.engine.signal)) this.apart++
    this.claiming--
  }

  giveApart(): void {
    if (this.apart === 0) return
    this.apart--
    this.allowance.give()
  }

  get open(): number {
    return this.pools.reduce((sum, { size }) => sum + size, this.apart)
  }

  get idle(): number {
    return this.pools.reduce((sum, { idle }) => sum + idle.length, 0)
  }

  get closing(): number {
    return this.pools.reduce((sum, { closing }) => sum + closing.length, 0)
  }

  get starving(): FakePool[] {
    return this.pools.filter(({ size, waiting }) => size === 0 && waiting.length > 0)
  }

  check(): void {
    const { most } = this.allowance
    expect(this.open).toBeLessThanOrEqual(most)
    expect(this.allowance.full, 'what is counted is what is open').toBe(this.open === most)
    const needy = this.starving.length + this.claiming
    if (needy === 0) return
    expect(this.open, 'nobody waits while there is room').toBe(most)
    if (this.closing < needy) expect(this.idle, 'nobody waits while connections lie idle').toBe(0)
  }
}

const kinds = ['ask', 'ask', 'ask', 'finish', 'finish', 'end', 'lose', 'pause', 'claim', 'giveApart', 'close'] as const
const steps = fc.array(fc.tuple(fc.constantFrom(...kinds), fc.nat(3)), { maxLength: 60 })

async function act(world: World, kind: (typeof kinds)[number], which: number): Promise<void> {
  const pool = world.pools[which % world.pools.length] as FakePool
  if (kind === 'pause') vi.advanceTimersByTime(40 * (which + 1))
  else if (kind === 'claim') void world.claim()
  else if (kind === 'giveApart') world.giveApart()
  else if (kind === 'close') {
    world.engine.abort()
    world.engine = new AbortController()
  } else pool[kind]()
  // A claim is told of its end on later turns.
  for (let turn = 0; turn < 8; turn++) await Promise.resolve()
  world.check()
}

/** All that is used is given back, until nobody waits. */
async function calm(world: World): Promise<void> {
  for (let round = 0; round < 40; round++) {
    for (const [which, { members }] of world.pools.entries())
      for (const _ of members) for (const kind of ['finish', 'end'] as const) await act(world, kind, which)
    await act(world, 'giveApart', 0)
    await act(world, 'pause', 2)
  }
}

test('whatever is used, closed and lost in whichever order, each is counted once and nobody waits in vain', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 2, maxLength: 4 }),
      steps,
      async (most, maxes, program) => {
        const world = new World(most, maxes)
        for (const [kind, which] of program) await act(world, kind, which)
        await calm(world)
        expect(world.pools.map(({ waiting }) => waiting.length)).toEqual(world.pools.map(() => 0))
        expect([world.claiming, world.apart]).toEqual([0, 0])
        expect(vi.getTimerCount()).toBe(0)
      },
    ),
    { numRuns: 300 },
  )
})

test('a connection that is closed in order and lost meanwhile is counted once', () => {
  const { allowance, pools } = new World(2, [2, 2])
  const [pool] = pools as [FakePool]
  pool.ask()
  pool.ask()
  pool.finish()
  const [member] = pool.idle as [Member]
  const left = pool.share.leaving(member)
  const again = pool.share.leaving(member)
  pool.lost(member)
  again()
  expect(allowance.full).toBe(true)
  left()
  expect(allowance.take(pool.share, false)).toBe(true)
  expect(allowance.full).toBe(true)
})

test('a pool that has none gets one of those in use as soon as its user is done, however busy they are', async () => {
  const world = new World(2, [2, 2])
  const [busy, starving] = world.pools as [FakePool, FakePool]
  for (const _ of [1, 2, 3]) busy.ask()
  starving.ask()
  vi.advanceTimersByTime(250)
  expect(busy.share.yielding).toBe(1)
  busy.finish()
  busy.finish()
  busy.end()
  expect([busy.size, starving.size]).toEqual([1, 1])
})

test('for each who waits one idle connection is closed, and another when that takes long', () => {
  const [rich, poor] = new World(3, [3, 3]).pools as [FakePool, FakePool]
  for (const step of ['ask', 'ask', 'ask', 'finish', 'finish', 'finish'] as const) rich[step]()
  poor.ask()
  rich.ask()
  rich.finish()
  expect([rich.closing.length, rich.looks]).toEqual([1, 0])
  vi.advanceTimersByTime(110)
  expect(rich.closing.length).toBe(2)
})

test('a pool that has one gets no second one by the closing of one that was used just now', () => {
  const [first, second] = new World(2, [1, 2]).pools as [FakePool, FakePool]
  first.ask()
  first.finish()
  second.ask()
  second.ask()
  expect([first.closing.length, first.looks > 0]).toEqual([0, true])
  expect([first.share.wantedSince, second.share.wantedSince !== undefined]).toEqual([undefined, true])
  vi.advanceTimersByTime(210)
  expect(first.closing.length).toBe(1)
})

test('the pool that has the most gives one for a pool that has none, a statement before what is lent', () => {
  const [small, large, none] = new World(3, [1, 2, 1]).pools as [FakePool, FakePool, FakePool]
  small.ask()
  large.ask()
  large.ask()
  for (const [lent] of [large.serving(), small.serving()]) (lent as Member).state = 'leased'
  none.ask()
  vi.advanceTimersByTime(210)
  expect([small, large].map(({ share }) => share.yielding)).toEqual([0, 1])
  expect(large.serving().map(({ outgoing }) => outgoing)).toEqual([true])
  small.ask()
  expect(small.share.wantedSince).toBe(undefined)
})

test('what becomes free goes to those who wait by turns, and past those who cannot use it', () => {
  const world = new World(3, [3, 3])
  const [first, second] = world.pools as [FakePool, FakePool]
  const { allowance } = world
  const asked: string[] = []
  const idler: Sharer = {
    size: 0,
    wantedSince: clock.now(),
    idleSince: undefined,
    yielding: 0,
    yieldIdle() {},
    yieldNext: () => false,
    recallForOthers() {},
    grow() {
      if (asked.push('idler') > 1) throw new Error('was given its turn again')
    },
    holders: () => [],
  }
  for (const pool of [first, second, first]) pool.ask()
  for (const pool of [first, first, second]) pool.ask()
  first.lose()
  expect([first.size, second.size]).toEqual([2, 1])
  first.lose()
  expect([first.size, second.size]).toEqual([1, 2])

  allowance.join(idler)
  expect(allowance.take(idler, true)).toBe(false)
  second.ask()
  second.lose()
  expect([asked, first.size, second.size, second.waiting.length + first.waiting.length]).toEqual([['idler'], 2, 1, 1])
})

test('while a connection lies idle none of those in use is taken for a pool that has none', () => {
  const [rich, poor] = new World(3, [3, 3]).pools as [FakePool, FakePool]
  for (const step of ['ask', 'ask', 'ask', 'finish'] as const) rich[step]()
  poor.ask()
  rich.finish()
  expect([rich.closing.length, rich.idle.length, rich.serving().length]).toEqual([1, 1, 1])
  vi.advanceTimersByTime(110)
  expect([rich.closing.length, rich.idle.length, rich.share.yielding]).toEqual([2, 0, 0])
})

test('none of those in use is taken for a pool that has one', () => {
  const [first, second] = new World(2, [2, 2]).pools as [FakePool, FakePool]
  for (const pool of [first, second, second]) pool.ask()
  vi.advanceTimersByTime(1_010)
  expect([first, second].map(({ share }) => share.yielding)).toEqual([0, 0])
  expect(first.looks).toBeGreaterThan(0)
})

test('more connections that are being closed than are waited for are no reason to take fewer back', () => {
  const { allowance, pools } = new World(2, [2, 2, 2])
  const [rich, one, other] = pools as [FakePool, FakePool, FakePool]
  for (const step of ['ask', 'ask', 'finish', 'finish'] as const) rich[step]()
  one.ask()
  other.ask()
  expect(rich.closing.length).toBe(2)
  other.waiting.length = 0
  expect(allowance.wanted).toBe(0)
})

test('a wait for one connection ends with its engine, and leaves no timer behind', async () => {
  const world = new World(1, [1])
  world.pools[0]?.ask()
  const waiting = world.claim()
  expect(vi.getTimerCount()).toBeGreaterThan(0)
  world.engine.abort()
  await waiting
  expect([world.claiming, world.apart]).toEqual([0, 0])
  vi.advanceTimersByTime(1_000)
  expect(vi.getTimerCount()).toBe(0)
  expect(await world.allowance.claim(clock.now() + 1_000, world.engine.signal)).toBe(false)
})
