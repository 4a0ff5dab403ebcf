// A lock on a data directory, because two PGlites in one directory destroy it. It is a file that names the process which uses the
// directory. A server takes it before PGlite starts. A lock whose process is gone is replaced.
import { unlinkSync } from 'node:fs'
import { mkdir, readFile, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { clock } from '../../util/clock.ts'

export interface DirectoryLock {
  release(): Promise<void>
}

const fileName = 'genever.pid'
const held = new Set<string>()
const toleranceMs = 5000

/** The lock, or the number of the process that has it. */
export async function lockDirectory(directory: string): Promise<DirectoryLock | number> {
  await mkdir(directory, { recursive: true })
  const file = join(directory, fileName)
  for (;;) {
    try {
      await writeFile(file, `${process.pid} ${Math.round(startedAt())}\n`, { flag: 'wx' })
      break
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const [holder = 0, started = 0] = (await readFile(file, 'utf8').catch(() => '')).split(' ').map(Number)
    if (isRunning(holder, started)) return holder
    await unlink(file).catch(() => {})
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

function removeAll(): void {
  for (const file of held) {
    try {
      unlinkSync(file)
    } catch {
      // It is gone already, which is what is wanted.
    }
  }
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
