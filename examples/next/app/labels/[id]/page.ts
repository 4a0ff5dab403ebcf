// A page for one bottle, or Next's page for what is not found.
import { getOrNotFound } from 'genever/next'
import { createElement, type ReactElement } from 'react'
import { shop } from '../../../db.ts'

interface Props {
  readonly params: Promise<{ id: string }>
}

// oxlint-disable-next-line import/no-default-export -- where Next.js looks
export default async function Label({ params }: Props): Promise<ReactElement> {
  const { id } = await params
  const bottle = await getOrNotFound(shop.bottle(Number(id)))
  return createElement('h1', null, bottle.name)
}
