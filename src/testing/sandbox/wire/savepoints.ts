// The savepoints of all views on the shared connection: one stack, because the server has one. It says who has the floor.
// A transaction that commits while another view has something open inside stays on the stack, over but not released,
// until that has ended; one that rolls back takes along what is inside.
import type { Savepoint, SessionView, SessionWire } from '../contract.ts'

export class Savepoints {
  readonly #stack: Savepoint[] = []

  /** The innermost that is open; its view has the floor. */
  get top(): Savepoint | undefined {
    return this.#stack.findLast(({ over }) => !over)
  }

  get bottom(): Savepoint | undefined {
    return this.#stack[0]
  }

  open(view: SessionView, name: string, inForce: number, known: string = name): void {
    this.#stack.push({ view, name, known, settings: view.settings.length, inForce, over: false })
  }

  innermost(view: SessionView): Savepoint | undefined {
    return this.#stack.findLast((savepoint) => savepoint.view === view && !savepoint.over)
  }

  find(view: SessionView, name: string): Savepoint | undefined {
    return this.#stack.findLast((each) => each.view === view && each.name === name && !each.over)
  }

  /** Whether another view has something open inside. */
  covered(savepoint: Savepoint): boolean {
    return this.#above(savepoint).some(({ view, over }) => view !== savepoint.view && !over)
  }

  /** Its view has released it and what it had opened inside. */
  release(savepoint: Savepoint): void {
    const covered = this.covered(savepoint)
    for (const each of [savepoint, ...this.#above(savepoint)]) if (each.view === savepoint.view) each.over = true
    if (!covered) this.#stack.length = this.#stack.indexOf(savepoint)
  }

  /** The server went back to it: gives what was inside, the innermost first; it stays itself if `kept`. */
  goBack(savepoint: Savepoint, kept: boolean): Savepoint[] {
    const at = this.#stack.indexOf(savepoint)
    return at < 0 ? [] : this.#stack.splice(kept ? at + 1 : at).toReversed()
  }

  /** Releases on the server what is over and has nothing inside any more. */
  async settle(shared: SessionWire): Promise<void> {
    while (this.#stack.at(-1)?.over === true) {
      const savepoint = this.#stack.pop()
      if (savepoint !== undefined) await shared.send([shared.own(shared.engine.dialect.release(savepoint.known))])
    }
  }

  #above(savepoint: Savepoint): Savepoint[] {
    return this.#stack.slice(this.#stack.indexOf(savepoint) + 1)
  }
}
