/** Statements that each database refuses because of a value, which its own words may repeat. `t` is a table. */

export const canary = 'canary-7f3a'
export const number = 918_273_645
export const secret: RegExp = /canary|7f3a|918273645/i

type Refused = readonly [what: string, text: string, params: readonly unknown[]]

export const refusedValues: Readonly<Record<'postgresql' | 'mysql', readonly Refused[]>> = {
  postgresql: [
    ['unique', 'insert into t (id, name) values ($1, $1)', [canary]],
    ['not null', 'insert into t (id, name) values ($1, null)', [`${canary}2`]],
    ['check', 'insert into t (id, name) values ($1, $2)', ['x', `${canary}-${canary}`]],
    ['a cast to int', 'select $1::text::int', [canary]],
    ['a parameter of type int', 'select $1::int', [canary]],
    ['a number out of range', 'select $1::int::int2', [number]],
    ['a date', 'select $1::text::date', [canary]],
    ['a uuid', 'select $1::uuid', [canary]],
    ['json', 'select $1::json', [`{${canary}`]],
    ['jsonb of text', 'select $1::text::jsonb', [canary]],
    ['an array', 'select $1::int[]', [[canary]]],
    ['a regular expression', `select 'x' ~ $1`, [`(${canary}`]],
    ['a table by name', 'select $1::regclass', [canary]],
    ['a setting', 'select set_config($1, $1, true)', [canary]],
    ['a length', 'select $1::text::varchar(3)::int', [canary]],
    ['an enum', `select enum_range($1::text::int)`, [canary]],
    ['a missing parameter', 'select $1, $2', [canary]],
    ['one too many', 'select 1', [canary]],
    ['something that cannot be sent', 'select $1', [Symbol(canary)]],
    ['undefined beside it', 'select $1, $2', [canary, undefined]],
  ],
  mysql: [
    ['unique', 'insert into t (id, name) values (?, ?)', [canary, canary]],
    ['not null', 'insert into t (id, name) values (?, null)', [`${canary}2`]],
    ['check', 'insert into t (id, name) values (?, ?)', ['x', `${canary}-${canary}`]],
    ['a parameter of type int', "insert into t (id, name, age) values ('x', 'y', ?)", [canary]],
    ['a number out of range', "insert into t (id, name, age) values ('x', 'y', ?)", [number]],
    ['a length', "insert into t (id, name) values (?, 'y')", [canary.repeat(9)]],
    ['a result out of range', 'select exp(?)', [number]],
    ['an expression of XPath', "select extractvalue('<a/>', ?)", [`${canary}(`]],
    ['a regular expression', "select 'x' regexp ?", [`(${canary}`]],
    ['a missing parameter', 'select ?, ?', [canary]],
    ['one too many', 'select 1', [canary]],
    ['something that cannot be sent', 'select ?', [Symbol(canary)]],
    ['undefined beside it', 'select ?, ?', [canary, undefined]],
  ],
}
