// Node with better-auth and pg: who asks is read by better-auth, profiles by named statements (pg prepares those).

import { createServer } from 'node:http'
import pg from 'pg'
import { auth, pool } from './auth.js'

pg.types.setTypeParser(pg.types.builtins.INT8, Number) // ids are numbers in the contract

const profile = `
  select p.id, p.user_id, u.username as user, p.description, p.location, p.date_joined, p.updated_on, p.is_creator
  from profiles p join users u on u.id = p.user_id`
const statements = {
  profile: `${profile} where p.id = $1`,
  list: `${profile} where p.id > $1 and u.is_active order by p.id limit 100`,
  edit: 'update profiles set description = $2, location = $3, is_creator = $4 where id = $1 returning updated_on'
}

async function rows (name, values) {
  return (await pool.query({ name, text: statements[name], values })).rows
}

async function body (request) {
  const parts = []
  for await (const part of request) parts.push(part)
  return JSON.parse(Buffer.concat(parts))
}

const shown = ({ user_id: _, ...profile }) => profile

async function answer (request) {
  const session = await auth.api.getSession({ headers: new Headers({ cookie: request.headers.cookie ?? '' }) })
  if (session === null) return [401, { detail: 'Not signed in.' }]
  const id = Number(session.user.id)
  if (request.url === '/auth/users/me/') return [200, { email: session.user.email, id, username: session.user.name }]
  if (request.url.startsWith('/api/accounts/all-profiles')) {
    const after = new URL(request.url, 'http://127.0.0.1').searchParams.get('after') ?? 0
    return [200, (await rows('list', [after])).map(shown)]
  }
  const [found] = await rows('profile', [request.url.split('/').at(-1)])
  if (found === undefined) return [404, { detail: 'Not found.' }]
  if (request.method === 'GET') return [200, shown(found)]
  if (found.user_id !== id) return [403, { detail: 'Not yours.' }]
  const given = { ...found, ...(await body(request)) }
  const [changed] = await rows('edit', [found.id, given.description, given.location, given.is_creator])
  return [200, shown({ ...given, ...changed })]
}

const server = createServer(async (request, response) => {
  let [status, content] = [500, { detail: 'Server error.' }]
  try {
    [status, content] = await answer(request)
  } catch (error) {
    console.error(error)
  }
  const text = JSON.stringify(content)
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) })
  response.end(text)
})
server.listen(Number(process.env.PORT), '127.0.0.1')
process.on('SIGTERM', () => process.exit(0))
