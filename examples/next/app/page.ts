// A server component: it asks the database as if there were nothing to it. Each statement borrows a connection for itself.
import { createElement, type ReactElement } from 'react'
import { db } from '../db.ts'

export const dynamic = 'force-dynamic'

// oxlint-disable-next-line import/no-default-export -- where Next.js looks
export default async function Page(): Promise<ReactElement> {
  const bottles = await db.sql<{ id: number; name: string }>`select id, name from bottles order by id`
  const items = bottles.map(({ id, name }) => createElement('li', { key: id }, name))
  return createElement('ul', null, items)
}
