/** What is committed is true on every machine. */

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from '../support/source.ts'

// The sets of one character keep these lines from finding themselves.
const forbidden: Readonly<Record<string, RegExp>> = {
  'a registry host': /registry[.](npmjs|yarnpkg|npmmirror)|npm[.]pkg[.]github|files[.]pythonhosted|deb[.]debian[.]org/,
  'a path of one machine': /(?<![\w.$}*/-])[/](work|root|home|Users|workspace|builds)[/]\w|\b[A-Z]:[\\]Users/,
  'a download address of a lock file': /"resolve[d]": "(?!test\/)/,
}

const committed = (): string[] =>
  execFileSync('git', ['ls-files', '-z', '--cached'], { cwd: root, encoding: 'utf8' }).split('\0').filter(Boolean)

test('no committed file names a registry host or a path of one machine', () => {
  const found = committed().flatMap((path) => {
    const text = read(path)
    return text.split('\n').flatMap((line, index) =>
      Object.entries(forbidden)
        .filter(([, pattern]) => pattern.test(line))
        .map(([what]) => `${path}:${index + 1} names ${what}`),
    )
  })

  expect(found).toEqual([])
})

/** Nothing for files that are deleted but not committed so, and for those that are no text. */
function read(path: string): string {
  try {
    const text = readFileSync(join(root, path), 'utf8')
    return text.includes('\0') ? '' : text
  } catch {
    return ''
  }
}
