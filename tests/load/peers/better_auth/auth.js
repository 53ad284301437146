// better-auth as its documentation sets it up, with its default sessions: rows that are read at every request.

import { betterAuth } from 'better-auth'
import pg from 'pg'

export const pool = new pg.Pool()
export const auth = betterAuth({
  baseURL: `http://127.0.0.1:${process.env.PORT}`,
  secret: process.env.SIGNING_KEY,
  database: pool,
  logger: { disabled: true },
  telemetry: { enabled: false }
})
