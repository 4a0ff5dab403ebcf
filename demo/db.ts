// The one `db` of the application: every module imports it, nobody passes connections around. It has no database yet;
// the program binds it when it knows which one.
import { createDb, type Db } from 'genever'

export const db: Db = createDb()

/** How many connections there may be. Few on purpose: this demo is about sharing them. */
export const poolSize = 5
