/** Plain reads, which run on any connection, and texts that may leave something in their session. */

import { expect, test } from 'vitest'
import { classify } from '../../src/postgres/classify.ts'

const of = (text: string): { readonly plain: boolean; readonly leaves: boolean } => {
  const { plain, leaves } = classify(text)
  return { plain, leaves }
}

test.each([
  'select 1',
  'select * from users where id = $1 and name in ($2, $3)',
  'select count(*), coalesce(max(cents), 0)::numeric(10,2) from accounts a join users u using (id) where exists (select 1)',
  'select now(), gen_random_uuid(), json_agg(u) filter (where u.id > 1) over (partition by u.a) from users u',
  'with t as materialized (select 1 as n) select * from t union (select 2)',
  'values (1, 2), (3, 4)',
  'select 1 from pg_sleep(0.1)',
  "select pg_catalog.lower('A'), extract(year from now()), cast($1 as varchar(10)), array(select 1)",
  'select v.a from (values (1)) v(a)',
])('%s is a plain read', (text) => {
  expect(of(text)).toEqual({ plain: true, leaves: false })
})

test.each([
  'select set_tenant(7)',
  'select * from users where visible(id)',
  'select app.lower(name) from users',
  'select count(*), f(g(1)) from t',
  'insert into t (a, b) values (stamp(1), 2)',
  'update t set a = bump(a)',
])('%s calls what may leave something', (text) => {
  expect(of(text)).toEqual({ plain: false, leaves: true })
})

test.each([
  'insert into t (a, b) values (1, now())',
  'insert into app.t (a) values (1) on conflict (a) do update set b = 1 returning *',
  'insert into t (a, b) values (1, 2) on conflict (a, b) do update set (a, b) = (1, 2)',
  'update t set (a, b) = (1, 2)',
  'delete from t where a in (1)',
  'select pg_backend_pid()',
  'select * from pg_locks',
  'select * from t for update',
  "select nextval('s')",
  'select lastval()',
  'select 1; select 2',
  'explain select 1',
])('%s is not plain, and its connection need not be kept for it', (text) => {
  expect(of(text)).toEqual({ plain: false, leaves: false })
})
