// Puts what a benchmark has measured into a page, between `<!-- bench: NAME -->` and `<!-- end -->`.
import { readFile, writeFile } from 'node:fs/promises'

export async function putInPage(path: string, name: string, text: string): Promise<void> {
  const page = await readFile(path, 'utf8')
  const begin = `<!-- bench: ${name} -->`
  const from = page.indexOf(begin)
  const to = page.indexOf('<!-- end -->', from)
  if (from < 0 || to < 0) throw new Error(`${path} has no ${begin} … <!-- end -->.`)
  await writeFile(path, `${page.slice(0, from + begin.length)}\n\n${text.trim()}\n\n${page.slice(to)}`)
}
