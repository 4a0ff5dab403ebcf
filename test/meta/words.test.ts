/** The prose of pages and messages can be read once: few long sentences, and none of the phrases that stop a reader. */

import { expect, test } from 'vitest'
import { longest, marks, pages, sentencesOfMessages, sentencesOfPage, tooLong } from '../support/words.ts'
import { root } from '../support/source.ts'

const ofPages = pages(root).map((page) => ({ page, sentences: sentencesOfPage(root, page) }))

test('pages have none of the phrases', () => {
  expect(ofPages.flatMap(({ sentences }) => marks(sentences))).toEqual([])
})

test('messages have none of the phrases', () => {
  expect(marks(sentencesOfMessages(root))).toEqual([])
})

test(`at most 2 % of the sentences of all pages, and of messages, have more than ${longest} words`, () => {
  for (const found of [ofPages.flatMap(({ sentences }) => sentences), sentencesOfMessages(root)])
    expect(tooLong(found).length / found.length).toBeLessThanOrEqual(0.02)
})

test('no page has more than one long sentence in twenty', () => {
  const long = ofPages.filter(({ sentences }) => tooLong(sentences).length > Math.max(2, sentences.length / 20))

  expect(long.map(({ page }) => page)).toEqual([])
})
