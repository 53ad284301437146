// Elysia on Bun with Bun's own client for PostgreSQL: a pool, prepared statements (Bun prepares all), schemas for bodies.

import { SQL } from 'bun'
import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto'
import { Elysia, t } from 'elysia'

const { PGHOST, PGPORT, PGUSER, PGDATABASE, PORT, SIGNING_KEY } = process.env
const sql = new SQL({
  adapter: 'postgres',
  path: `${PGHOST}/.s.PGSQL.${PGPORT}`,
  username: PGUSER,
  database: PGDATABASE,
  max: 10
})

// HS256 with the standard library, which is quicker than @elysiajs/jwt, and a cache as large as that of this service.
const header = Buffer.from('{"alg":"HS256","typ":"JWT"}').toString('base64url')
const sign = (text) => createHmac('sha256', SIGNING_KEY).update(text).digest()
const verified = new Map()

class Refused extends Error {
  constructor (status, message) {
    super(message)
    this.status = status
  }
}

function verify (token) {
  const parts = token.split('.')
  if (parts.length !== 3) throw new Refused(401, 'Token is invalid')
  const given = Buffer.from(parts[2], 'base64url')
  const wanted = sign(`${parts[0]}.${parts[1]}`)
  const { alg } = JSON.parse(Buffer.from(parts[0], 'base64url'))
  if (alg !== 'HS256' || given.length !== wanted.length || !timingSafeEqual(given, wanted)) {
    throw new Refused(401, 'Token is invalid')
  }
  return JSON.parse(Buffer.from(parts[1], 'base64url'))
}

function read (token, kind) {
  let claims = verified.get(token)
  if (claims === undefined) {
    claims = verify(token)
    if (verified.size >= 16384) verified.delete(verified.keys().next().value)
    verified.set(token, claims)
  }
  if (claims.token_type !== kind || claims.exp < Date.now() / 1000) throw new Refused(401, 'Token is invalid')
  return claims
}

async function find (claims) {
  const [account] = await sql`
    select u.id, u.username, u.email from users u
    join sessions s on s.user_id = u.id and s.id = ${claims.sid} and s.expires_at > now()
    where u.id = ${claims.user_id} and u.is_active`
  if (account === undefined) throw new Refused(401, 'User not found')
  account.id = Number(account.id) // Bun makes a text of a bigint; ids are numbers in the contract
  return account
}

async function findProfile (id) {
  const [profile] = await sql`
    select p.id, p.user_id, u.username as user, p.description, p.location, p.date_joined, p.updated_on, p.is_creator
    from profiles p join users u on u.id = p.user_id where p.id = ${id}`
  if (profile === undefined) throw new Refused(404, 'Not found.')
  return profile
}

const shown = ({ user_id: _, ...profile }) => ({ ...profile, id: Number(profile.id) })

new Elysia()
  .onError(({ error, status }) => status(error.status ?? 500, { detail: error.message }))
  .post(
    '/auth/jwt/refresh/',
    async ({ body }) => {
      const claims = read(body.refresh, 'refresh')
      const { id } = await find(claims)
      const now = Math.floor(Date.now() / 1000)
      const fresh = { token_type: 'access', exp: now + 300, iat: now, jti: randomUUID(), user_id: String(id), sid: claims.sid }
      const signed = `${header}.${Buffer.from(JSON.stringify(fresh)).toString('base64url')}`
      return { access: `${signed}.${sign(signed).toString('base64url')}` }
    },
    { body: t.Object({ refresh: t.String() }) }
  )
  .resolve(async ({ headers }) => ({ account: await find(read((headers.authorization ?? '').slice(7), 'access')) }))
  .get('/auth/users/me/', ({ account }) => account)
  .get('/api/accounts/profile/:id', async ({ params }) => shown(await findProfile(params.id)), {
    params: t.Object({ id: t.Integer() })
  })
  .put(
    '/api/accounts/profile/:id',
    async ({ account, body, params }) => {
      const found = await findProfile(params.id)
      if (Number(found.user_id) !== account.id) throw new Refused(403, 'Not yours.')
      const given = { ...found, ...body }
      const [changed] = await sql`
        update profiles set description = ${given.description}, location = ${given.location},
        is_creator = ${given.is_creator} where id = ${found.id} returning updated_on`
      return shown({ ...given, ...changed })
    },
    {
      params: t.Object({ id: t.Integer() }),
      body: t.Partial(
        t.Object({
          description: t.Nullable(t.String()),
          location: t.String({ maxLength: 30 }),
          is_creator: t.Boolean()
        })
      )
    }
  )
  .get(
    '/api/accounts/all-profiles',
    async ({ query }) => {
      const profiles = await sql`
        select p.id, p.user_id, u.username as user, p.description, p.location, p.date_joined, p.updated_on, p.is_creator
        from profiles p join users u on u.id = p.user_id
        where p.id > ${query.after} and u.is_active order by p.id limit ${query.limit}`
      return profiles.map(shown)
    },
    { query: t.Object({ after: t.Integer({ default: 0 }), limit: t.Integer({ default: 100, maximum: 1000 }) }) }
  )
  .listen({ hostname: '127.0.0.1', port: Number(PORT) })

process.on('SIGTERM', () => process.exit(0))
