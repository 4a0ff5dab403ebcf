// The answer of `status()`.

export class Status<R = unknown> {
  /** The command as the server names it: `SELECT`, `INSERT`, `CREATE TABLE`; empty when nothing ran. */
  readonly command: string
  /** Rows affected or returned; null when the command has no count. */
  readonly rowCount: number | null
  readonly rows: readonly R[]

  constructor(command: string, rowCount: number | null, rows: readonly R[]) {
    this.command = command
    this.rowCount = rowCount
    this.rows = rows
  }

  /** The line PostgreSQL prints: `INSERT 0 2`, `SELECT 1`, `CREATE TABLE`. */
  toString(): string {
    if (this.rowCount === null || this.command === '') return this.command
    return this.command === 'INSERT' ? `INSERT 0 ${this.rowCount}` : `${this.command} ${this.rowCount}`
  }
}
