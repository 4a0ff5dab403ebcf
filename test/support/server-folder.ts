/** Where the servers of tests keep their data. */

import { mkdtemp, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const memory = '/dev/shm'
const tmpfs = 0x01021994
/** A whole run of the tests leaves about a quarter of it there. */
const plenty = 6 * 2 ** 30

/**
 * A new folder: in memory where Linux has plenty of it, else on the disk. Each database is some hundred files, and making it on a
 * disk can take ten times the processor time.
 */
export async function serverFolder(prefix: string): Promise<string> {
  const room = await statfs(memory).then(
    ({ type, bavail, bsize }) => (type === tmpfs ? bavail * bsize : 0),
    () => 0,
  )
  return mkdtemp(join(Math.min(room, process.availableMemory()) > plenty ? memory : tmpdir(), prefix))
}
