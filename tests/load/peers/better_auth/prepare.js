// Makes the tables of better-auth, and in them each account of the service with its session. The session is a day younger
// than it may be, so that no request renews it.

import { getMigrations } from 'better-auth/db/migration'
import { auth, pool } from './auth.js'

const { runMigrations } = await getMigrations(auth.options)
await runMigrations()
await pool.query(`
  insert into "user" (id, name, email, "emailVerified", "createdAt", "updatedAt")
  select id::text, username, email, true, now(), now() from users`)
await pool.query(`
  insert into session (id, token, "userId", "expiresAt", "createdAt", "updatedAt", "ipAddress", "userAgent")
  select id::text, id::text, user_id::text, now() + interval '7 days', now(), now(), '127.0.0.1', '' from sessions`)
await pool.query('analyze "user", session')
await pool.end()
