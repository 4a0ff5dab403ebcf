/** The lock on the directory of a PGlite: one has it, whoever asks at the same time. */

import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type DirectoryLock, lockDirectory } from '../../src/driver/pglite/directory-lock.ts'

let directory: string
beforeEach(async () => void (directory = await mkdtemp(join(tmpdir(), 'genever-lock-'))))
afterEach(() => rm(directory, { recursive: true, force: true }))

/** No process has such a number. */
const gone = 2 ** 30

async function locksOf(askers: number): Promise<DirectoryLock[]> {
  const answers = await Promise.all(Array.from({ length: askers }, () => lockDirectory(directory)))
  const busy = answers.filter((answer) => typeof answer === 'number')
  expect(busy).toEqual(Array.from({ length: askers - 1 }, () => process.pid))
  return answers.filter((answer) => typeof answer !== 'number')
}

test('one of many has it, also where a process that is gone had it before', async () => {
  for (let round = 0; round < 30; round++) {
    if (round % 2 === 0) await writeFile(join(directory, 'genever.pid'), `${gone} 0\n`)
    const locks = await locksOf(12)
    expect(locks).toHaveLength(1)
    await locks[0]?.release()
    expect(await readdir(directory)).toEqual([])
  }
})

test('a file that another process is still writing is waited for', async () => {
  const file = join(directory, 'genever.pid')
  await writeFile(file, '')
  const asked = lockDirectory(directory)
  await Promise.race([asked, new Promise((resolve) => setTimeout(resolve, 300))])
  await writeFile(file, `${process.ppid} 0\n`)

  expect(await asked).toBe(process.ppid)
})

test('whoever died while it was taking the lock of another one does not keep it', { timeout: 60_000 }, async () => {
  await writeFile(join(directory, 'genever.pid'), `${gone} 0\n`)
  await writeFile(join(directory, 'genever.pid.clear'), '')
  const lock = (await lockDirectory(directory)) as DirectoryLock

  await lock.release()
  expect(await readdir(directory)).toEqual([])
})
