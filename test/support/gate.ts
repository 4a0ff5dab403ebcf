/** Points at which a test holds code back, and notices it was told about. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'

export interface Gate {
  readonly promise: Promise<void>
  open(): void
}

/** A promise that the test resolves. */
export function gate(): Gate {
  let open = (): void => {}
  const promise = new Promise<void>((resolve) => (open = resolve))
  return { promise, open }
}

export interface Notice {
  readonly code: string
  readonly message: string
  readonly places: readonly string[]
}

/** The notices published while `work` runs, but for what any engine may say of the functions that other files left in the database. */
export async function noticesDuring(work: () => Promise<unknown>): Promise<Notice[]> {
  const notices: Notice[] = []
  const listen = (notice: unknown): void => {
    if ((notice as Notice).code !== 'functions-hidden') notices.push(notice as Notice)
  }
  subscribe('genever:notice', listen)
  try {
    await work()
  } finally {
    unsubscribe('genever:notice', listen)
  }
  return notices
}
