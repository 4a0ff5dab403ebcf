// `listen(channel, work)` and `notify(channel, payload)`: messages from one session to others.
import { AsyncLocalStorage } from 'node:async_hooks'
import { AbortedError, PoolClosedError, UsageError } from '../../errors/index.ts'
import { notice } from '../../observe/channels.ts'
import type { ChannelWords } from '../../sql/dialect.ts'
import { abortSignal, type Checks, describeType, milliseconds, needsFunction } from '../../util/options.ts'
import { type Abortable, unwatchSignal, watchSignal } from '../../util/signal.ts'
import { thrownText } from '../../util/thrown.ts'
import { currentChain, runIn } from '../context/chain.ts'
import { atThisPlace, withoutLeft } from '../context/place.ts'
import type { RunningEngine } from '../runtime.ts'
import { callOptions } from '../handle.ts'
import { connectError, thrownError } from '../query/failure.ts'
import { type Failure, isFailure } from '../../driver/driver.ts'
import { queryChecks, type QueryTerms } from '../query/query-terms.ts'
import { type Hear, Listener, type ListenOptions } from './listener.ts'
import type { AmbientRunner } from '../query/runner.ts'

const checks: Checks<ListenOptions> = { heartbeatMs: milliseconds(1, 'or Infinity'), signal: abortSignal }

export async function listen(
  source: AmbientRunner<RunningEngine>,
  channel: string,
  work: Hear | undefined,
  given: ListenOptions | undefined,
): Promise<Listener> {
  if (work !== undefined) needsFunction(work, 'listen()', 'or undefined, for a loop, and options behind it')
  const { heartbeatMs = 10_000, signal } = callOptions<ListenOptions>(given, checks, 'listen()')
  checkChannel(channel, 'listen()')
  const here = source.engineHere()
  const engine = here instanceof Promise ? await here : here
  const heard = work === undefined ? undefined : atThisPlace(work, source.chainHere())
  engine.dialect.quote(channel)
  wordsOf(engine)
  if (engine.options.pooler !== undefined)
    throw new UsageError(
      'listen() needs a session that stays, and behind a transaction pooler there is none. Connect to the server directly for it.',
    )
  if (engine.closed) throw new PoolClosedError('listen() was called on a database that has been closed.')
  const aborted = (): AbortedError =>
    new AbortedError('The call of listen() was aborted by its signal.', {
      outcome: 'not_started',
      cause: signal?.reason,
    })
  if (signal?.aborted === true) throw aborted()
  const listener = new Listener(channel, (each) => {
    if (signal !== undefined) unwatchSignal(signal, end)
    return engine.openListening().remove(each)
  })
  let refuse: (error: Error) => void = () => {}
  const end: Abortable = {
    abort() {
      refuse(aborted())
      void listener.unlisten()
    },
  }
  if (signal !== undefined) watchSignal(signal, end)
  try {
    await new Promise<void>((resolve, reject) => {
      refuse = reject
      engine.openListening().add(listener, heartbeatMs).then(resolve, reject)
    })
  } catch (failure) {
    if (signal !== undefined) unwatchSignal(signal, end)
    throw isFailure(failure) && isOfConnection(failure)
      ? connectError(engine.dialect, failure, engine.options.describe())
      : thrownError(failure, engine)
  }
  if (heard !== undefined) void hearAll(source, engine, listener, heard)
  return listener
}

/** Neither the server has refused LISTEN nor the pool the wait for a connection that is open. */
function isOfConnection({ kind, refusal }: Failure): boolean {
  return kind !== 'server' && (kind !== 'refused' || refusal?.reason === 'connect')
}

/** One after the other, in the context of the code that called `listen()`, but for the connection, the transaction and the settings around that. */
async function hearAll(
  source: AmbientRunner<RunningEngine>,
  engine: RunningEngine,
  listener: Listener,
  work: Hear,
): Promise<void> {
  const inContext = AsyncLocalStorage.snapshot()
  for await (const heard of listener)
    try {
      await inContext(() => runIn(withoutLeft(currentChain()), () => source.detached(async () => work(heard))))
    } catch (error) {
      notice(
        'hook-failed',
        `The callback of listen(${JSON.stringify(listener.channel)}) failed. It goes on with what is heard next.`,
        {
          engine: engine.name,
          error: thrownText(error),
        },
      )
    }
}

export async function notify(
  source: AmbientRunner<RunningEngine>,
  channel: string,
  payload: string,
  given: QueryTerms | undefined,
): Promise<void> {
  checkChannel(channel, 'notify()')
  if (typeof payload !== 'string')
    throw new UsageError(
      `The payload of notify() must be a text, not ${describeType(payload)}. Write JSON.stringify(value).`,
    )
  const options = callOptions<QueryTerms>(given, queryChecks, 'notify()')
  const here = source.engineHere()
  const engine = here instanceof Promise ? await here : here
  engine.dialect.quote(channel)
  const { sql, params } = wordsOf(engine).notify(channel, payload)
  await source.scalar(sql, params, options)
}

function checkChannel(channel: unknown, method: string): void {
  if (typeof channel !== 'string')
    throw new UsageError(`${method} takes the name of a channel, not ${describeType(channel)}.`)
}

function wordsOf({ dialect }: RunningEngine): ChannelWords {
  if (dialect.channels !== undefined) return dialect.channels
  throw new UsageError(`${dialect.title} has no channels, so there is neither listen() nor notify() here.`)
}
