// Fastify with pg and @fastify/jwt: a pool, named statements (pg prepares those), schemas that make the responses.

import { randomUUID } from 'node:crypto'
import fastifyJwt from '@fastify/jwt'
import Fastify from 'fastify'
import pg from 'pg'

pg.types.setTypeParser(pg.types.builtins.INT8, Number) // ids are numbers in the contract

const account = `
  select u.id, u.username, u.email from users u
  join sessions s on s.user_id = u.id and s.id = $2 and s.expires_at > now()
  where u.id = $1 and u.is_active`
const profile = `
  select p.id, p.user_id, u.username as user, p.description, p.location, p.date_joined, p.updated_on, p.is_creator
  from profiles p join users u on u.id = p.user_id`
const list = `${profile} where p.id > $1 and u.is_active order by p.id limit $2`
const edit = `
  update profiles set description = $2, location = $3, is_creator = $4 where id = $1 returning updated_on`

const text = { type: 'string' }
const whole = { type: 'integer' }
const User = { type: 'object', properties: { email: text, id: whole, username: text } }
const Profile = {
  type: 'object',
  properties: {
    id: whole,
    user: text,
    description: { type: 'string', nullable: true },
    location: text,
    date_joined: { type: 'string', format: 'date-time' },
    updated_on: { type: 'string', format: 'date-time' },
    is_creator: { type: 'boolean' }
  }
}
const ProfileEdit = {
  type: 'object',
  properties: {
    description: { type: 'string', nullable: true },
    location: { type: 'string', maxLength: 30 },
    is_creator: { type: 'boolean' }
  }
}
const Id = { type: 'object', properties: { id: whole } }
const Page = {
  type: 'object',
  properties: { after: { type: 'integer', default: 0 }, limit: { type: 'integer', default: 100, maximum: 1000 } }
}

const fastify = Fastify({ logger: false })
const pool = new pg.Pool()
fastify.register(fastifyJwt, {
  secret: process.env.SIGNING_KEY,
  // As its documentation recommends for speed: a cache, as large as that of this service, keyed by the token.
  verify: { algorithms: ['HS256'], cache: 16384, cacheKeyBuilder: (token) => token }
})

async function find (claims, kind) {
  if (claims.token_type !== kind) throw fastify.httpError(401, 'Token has wrong type')
  const { rows } = await pool.query({ name: 'account', text: account, values: [claims.user_id, claims.sid] })
  if (rows.length === 0) throw fastify.httpError(401, 'User not found')
  return rows[0]
}

async function findProfile (id) {
  const { rows } = await pool.query({ name: 'profile', text: `${profile} where p.id = $1`, values: [id] })
  if (rows.length === 0) throw fastify.httpError(404, 'Not found.')
  return rows[0]
}

fastify.decorate('httpError', (statusCode, message) => Object.assign(new Error(message), { statusCode }))
fastify.decorateRequest('account', null)
fastify.decorate('authenticate', async (request) => {
  request.account = await find(await request.jwtVerify(), 'access')
})
const onRequest = [(request) => fastify.authenticate(request)]

fastify.get('/auth/users/me/', { onRequest, schema: { response: { 200: User } } }, async (request) => request.account)

fastify.get(
  '/api/accounts/profile/:id',
  { onRequest, schema: { params: Id, response: { 200: Profile } } },
  async (request) => findProfile(request.params.id)
)

fastify.put(
  '/api/accounts/profile/:id',
  { onRequest, schema: { params: Id, body: ProfileEdit, response: { 200: Profile } } },
  async (request) => {
    const found = await findProfile(request.params.id)
    if (found.user_id !== request.account.id) throw fastify.httpError(403, 'Not yours.')
    const given = { ...found, ...request.body }
    const values = [found.id, given.description, given.location, given.is_creator]
    const { rows } = await pool.query({ name: 'edit', text: edit, values })
    return { ...given, ...rows[0] }
  }
)

fastify.get(
  '/api/accounts/all-profiles',
  { onRequest, schema: { querystring: Page, response: { 200: { type: 'array', items: Profile } } } },
  async (request) => {
    const { after, limit } = request.query
    const { rows } = await pool.query({ name: 'list', text: list, values: [after, limit] })
    return rows
  }
)

fastify.post('/auth/jwt/refresh/', async (request) => {
  const claims = fastify.jwt.verify(request.body.refresh)
  const { id } = await find(claims, 'refresh')
  const fresh = { token_type: 'access', jti: randomUUID(), user_id: String(id), sid: claims.sid }
  return { access: fastify.jwt.sign(fresh, { expiresIn: '5m' }) }
})

await fastify.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
process.on('SIGTERM', async () => {
  await fastify.close()
  await pool.end()
})
