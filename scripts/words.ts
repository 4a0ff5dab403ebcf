/** `npm run words`: prints sentences that are too long and phrases that stop a reader. `npm run words -- docs/models.md` one page. */

import {
  longest,
  marks,
  pages,
  sentencesOfComments,
  sentencesOfMessages,
  sentencesOfPage,
  tooLong,
  type Sentence,
} from '../test/support/words.ts'

const root = process.cwd()
const [wanted] = process.argv.slice(2)

if (wanted === undefined) {
  summary(
    'pages',
    pages(root).flatMap((page) => sentencesOfPage(root, page)),
  )
  summary('messages', sentencesOfMessages(root))
  summary('comments', sentencesOfComments(root))
  console.log('npm run words -- docs/PAGE.md, messages or comments lists them.')
} else if (wanted === 'messages') list(sentencesOfMessages(root))
else if (wanted === 'comments') list(sentencesOfComments(root))
else
  list(
    pages(root)
      .filter((page) => page.startsWith(wanted))
      .flatMap((page) => sentencesOfPage(root, page)),
  )

function summary(name: string, found: readonly Sentence[]): void {
  const long = tooLong(found).length
  const share = ((100 * long) / found.length).toFixed(1)
  console.log(
    `${name}: ${found.length} sentences, ${long} of more than ${longest} words (${share} %), ${marks(found).length} phrases`,
  )
}

function list(found: readonly Sentence[]): void {
  for (const { place, text, words } of tooLong(found)) console.log(`${place}: ${words} words: ${text}`)
  for (const mark of marks(found)) console.log(mark)
  summary(wanted ?? '', found)
}
