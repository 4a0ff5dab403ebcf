// The plans of one `Db`: what an engine with `prebake` prepares on each new connection. It keeps as many as a program writes
// down; what is baked in a loop is not kept for ever.
import type { Plan } from './plan.ts'

const most = 1000

export class Bakery {
  readonly #plans = new Set<Plan>()

  add(plan: Plan): void {
    if (this.#plans.size < most) this.#plans.add(plan)
  }

  get plans(): Iterable<Plan> {
    return this.#plans
  }
}
