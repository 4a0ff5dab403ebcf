// Random programs of what the pages on connections and on transactions speak of: scopes, transactions, handles, idle times,
// detached work, work that is left behind, hooks and session state, inside of each other.
import { fc } from '../support/fast-check.ts'

export type Executors = 'db' | 'handle'

export type Step =
  | { readonly do: 'look' | 'insert' | 'fail'; readonly by: Executors }
  | { readonly do: 'pin' | 'wait' | 'for now' | 'current' }
  | { readonly do: 'hook'; readonly on: 'commit' | 'rollback' }
  | {
      readonly do: 'scope'
      readonly reuse: boolean
      readonly reusable: boolean
      readonly hold: boolean
      readonly tenant: boolean
      readonly caught: boolean
      readonly body: Body
    }
  | {
      readonly do: 'transaction'
      readonly reuse: boolean
      readonly end: 'return' | 'throw' | 'raise commit' | 'raise rollback'
      /** What is raised ends the outermost transaction around, not this one. */
      readonly outermost: boolean
      readonly caught: boolean
      readonly body: Body
    }
  | { readonly do: 'acquire'; readonly ambient: boolean; readonly body: Body }
  | { readonly do: 'idle' | 'detached'; readonly body: Body }
  /** Runs with the context of this place when the callback around this place has ended. */
  | { readonly do: 'later'; readonly body: Body }
export type Body = readonly Step[]

const flag = fc.boolean()
const rarely = <T>(usual: T, ...rare: T[]): fc.Arbitrary<T> =>
  fc.oneof({ arbitrary: fc.constant(usual), weight: 5 }, { arbitrary: fc.constantFrom(...rare), weight: 2 })
const named = <T extends string>(name: T): fc.Arbitrary<T> => fc.constant(name)
const by = rarely<Executors>('db', 'handle')

const simple: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: fc.record({ do: named('look'), by }), weight: 5 },
  { arbitrary: fc.record({ do: named('insert'), by }), weight: 4 },
  { arbitrary: fc.record({ do: named('fail'), by }), weight: 1 },
  { arbitrary: fc.record({ do: fc.constantFrom('wait' as const, 'for now', 'current') }), weight: 3 },
  { arbitrary: fc.record({ do: named('hook'), on: fc.constantFrom('commit' as const, 'rollback') }), weight: 1 },
)

/** Session state is set outside of transactions only: what ROLLBACK leaves of it is told by other tests. */
export const program: fc.Arbitrary<Body> = fc.letrec<{ outer: Step; inner: Step; outside: Body; inside: Body }>(
  (tie) => {
    const depth = { maxDepth: 4, depthSize: 'small', withCrossShrink: true } as const
    const frames = (body: fc.Arbitrary<Body>): fc.Arbitrary<Step> =>
      fc.oneof(
        fc.record({
          do: named('scope'),
          reuse: rarely<boolean>(true, false),
          reusable: rarely<boolean>(true, false),
          hold: rarely<boolean>(false, true),
          tenant: flag,
          caught: flag,
          body,
        }),
        fc.record({
          do: named('transaction'),
          reuse: rarely<boolean>(true, false),
          end: rarely<'return' | 'throw' | 'raise commit' | 'raise rollback'>(
            'return',
            'throw',
            'raise commit',
            'raise rollback',
          ),
          outermost: flag,
          caught: flag,
          body: tie('inside'),
        }),
        fc.record({ do: fc.constantFrom('idle' as const, 'later'), body }),
      )
    const apart = (body: fc.Arbitrary<Body>): fc.Arbitrary<Step> =>
      fc.oneof(
        fc.record({ do: named('acquire'), ambient: flag, body }),
        fc.record({ do: named('detached'), body: tie('outside') }),
      )
    return {
      outside: fc.array(tie('outer'), { minLength: 1, maxLength: 4 }),
      inside: fc.array(tie('inner'), { minLength: 1, maxLength: 4 }),
      outer: fc.oneof(
        depth,
        { arbitrary: simple, weight: 5 },
        { arbitrary: fc.constant<Step>({ do: 'pin' }), weight: 1 },
        { arbitrary: frames(tie('outside')), weight: 6 },
        { arbitrary: apart(tie('outside')), weight: 2 },
      ),
      inner: fc.oneof(
        depth,
        { arbitrary: simple, weight: 6 },
        { arbitrary: frames(tie('inside')), weight: 6 },
        { arbitrary: apart(tie('inside')), weight: 1 },
      ),
    }
  },
).outside
