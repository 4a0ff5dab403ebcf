// A lock on a data directory, because two PGlites in one directory destroy it. It is a file that names the process which uses the
// directory. A server takes it before PGlite starts. A lock whose process is gone is replaced.
import { randomUUID } from 'node:crypto'
import { closeSync, openSync, readFileSync, statSync, unlinkSync } from 'node:fs'
import { mkdir, readFile, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { clock } from '../../util/clock.ts'

export interface DirectoryLock {
  release(): Promise<void>
}

const fileName = 'genever.pid'
const held = new Set<string>()
const toleranceMs = 5000
const pauseMs = 10

/** The lock, or the number of the process that has it. */
export async function lockDirectory(directory: string): Promise<DirectoryLock | number> {
  await mkdir(directory, { recursive: true })
  const file = join(directory, fileName)
  const own = `${process.pid} ${Math.round(startedAt())} ${randomUUID()}\n`
  let [unfinished, since] = ['', 0]
  for (;;) {
    try {
      await writeFile(file, own, { flag: 'wx' })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const seen = await readFile(file, 'utf8').catch(() => null)
    if (seen === own) break
    if (seen !== null && !seen.endsWith('\n') && (since === 0 || clock.now() - since < toleranceMs)) {
      // Somebody is writing it.
      if (since === 0 || seen !== unfinished) [unfinished, since] = [seen, clock.now()]
    } else if (seen !== null) {
      const [holder = 0, started = 0] = seen.split(' ').map(Number)
      if (isRunning(holder, started)) return holder
      clear(file, seen)
    }
    await new Promise<void>((resolve) => clock.setTimeout(() => resolve(), pauseMs))
  }
  if (held.size === 0) process.once('exit', removeAll)
  held.add(file)
  return {
    async release(): Promise<void> {
      held.delete(file)
      if (held.size === 0) process.removeListener('exit', removeAll)
      await unlink(file).catch(() => {})
    },
  }
}

/** Removes the file of a process that is gone. One at a time does: it may be the file of another one since it was read. */
function clear(file: string, seen: string): void {
  const turn = `${file}.clear`
  try {
    closeSync(openSync(turn, 'wx'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    // Whoever had the turn has died in it.
    if (clock.date() - (statSync(turn, { throwIfNoEntry: false })?.mtimeMs ?? Infinity) > toleranceMs) remove(turn)
    return
  }
  try {
    if (readFileSync(file, 'utf8') === seen) unlinkSync(file)
  } catch {
    // Nobody has it.
  } finally {
    remove(turn)
  }
}

function remove(file: string): void {
  try {
    unlinkSync(file)
  } catch {
    // It is gone already, which is what is wanted.
  }
}

function removeAll(): void {
  for (const file of held) remove(file)
}

/** The same in all threads of a process; a number alone may have been another process' before a restart. */
function startedAt(): number {
  return clock.date() - process.uptime() * 1000
}

function isRunning(id: number, started: number): boolean {
  if (!Number.isInteger(id) || id <= 0) return false
  if (id === process.pid) return Math.abs(started - startedAt()) < toleranceMs
  try {
    process.kill(id, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
