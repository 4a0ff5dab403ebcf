// Runs once when the server starts: the database is opened before the first request, or the start fails.
export async function register(): Promise<void> {
  if (process.env['NEXT_RUNTIME'] !== 'nodejs') return
  const { db, shop } = await import('./db.ts')
  await db.open()
  await shop.create()
}
