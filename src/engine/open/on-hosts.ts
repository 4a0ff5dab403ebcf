// The pools of a database with replicas. Loaded with the first engine that has any.
import type { ResolvedReplicas } from '../../options/engine-options.ts'
import type { Compiled } from '../../sql/compiled.ts'
import type { ReplicationWords } from '../../sql/dialect.ts'
import type { Engine } from '../engine.ts'
import { ServerProbe } from '../hosts/server-probe.ts'
import { Host } from '../hosts/host.ts'
import { Hosts } from '../hosts/hosts.ts'
import { serverInfo } from '../report.ts'
import { type Making, type Pools, serve } from './make-engine.ts'
import { SessionSource } from './session.ts'

/** A pool for each server, and who asks it. */
export function onHosts(making: Making, engine: Engine): Pools {
  const { allowance } = making
  const hosts = makeHosts(making, engine, making.options.replicas as ResolvedReplicas)
  engine.hosts = hosts
  if (allowance !== null) making.atEnd(...hosts.all.map(({ probe }) => allowance.mayClose(probe)))
  return {
    pool: hosts.primary.pool,
    // Only the primary passes on what is sent to a channel, whichever that is when it is asked for.
    outlet: {
      openOutsidePool: making.opener((hooks, deadline) =>
        (hosts.primary.pool.source as SessionSource).openOutsidePool(hooks, deadline),
      ),
      keepListening() {},
    },
  }
}

/** How long a server may take to say who it is. One that says it later than `maxLagMs` gets no reads anyhow. */
const [leastPatienceMs, mostPatienceMs] = [250, 5_000]

function makeHosts(making: Making, engine: Engine, replicas: ResolvedReplicas): Hosts {
  const words = engine.dialect.replication as ReplicationWords
  const question = (): Compiled => engine.statements.compileInternal(words.question)
  const patienceMs = Math.min(mostPatienceMs, Math.max(leastPatienceMs, replicas.maxLagMs))
  const hosts = replicas.hosts.map(({ name, connection }) => {
    const served = serve(engine.options, connection)
    const open = making.opener(async (hooks, deadline) => {
      const { driver, connect } = await served
      return driver.open(connect, hooks, deadline)
    })
    const pool = making.poolOf(new SessionSource(engine, making.db, served, () => host))
    const host: Host = new Host(name, serverInfo(engine, connection), pool, new ServerProbe(open, question, patienceMs))
    return host
  })
  return new Hosts(engine, replicas, words, hosts)
}
