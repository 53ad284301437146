// Uses openapi-fetch with the types that openapi-typescript generates for a site without a site file.
import createClient from "openapi-fetch"
import type { components, paths } from "./stock_types"
import { check, PASSWORD, URL_OF_SERVICE } from "./check"

async function main(): Promise<void> {
  const client = createClient<paths>({ baseUrl: URL_OF_SERVICE })
  const account: components["schemas"]["Registration"] = { username: "fetch", password: PASSWORD }
  const created = await client.POST("/auth/users/", { body: account })
  check(created.data?.username === "fetch", "register")
  const taken = await client.POST("/auth/users/", { body: account })
  check(taken.response.status === 400 && taken.error, "taken")

  const pair = await client.POST("/auth/jwt/create/", { body: { username: "fetch", password: PASSWORD } })
  check(pair.data, "sign in")
  let access = pair.data.access
  client.use({
    onRequest({ request }) {
      request.headers.set("Authorization", `Bearer ${access}`)
      return request
    },
  })
  const me = await client.GET("/auth/users/me/")
  check(me.data?.id === created.data.id, "me")
  const edited = await client.PATCH("/auth/users/me/", { body: { email: "fetch@example.com" } })
  check(edited.data?.email === "fetch@example.com", "edit")
  const profile = await client.GET("/api/accounts/profile/me")
  check(profile.data, "my profile")
  const changed = await client.PATCH("/api/accounts/profile/{id}", {
    params: { path: { id: profile.data.id } },
    body: { is_creator: true },
  })
  check(changed.data?.is_creator, "edit the profile")

  const refresh = pair.data.refresh
  const refreshed = await client.POST("/auth/jwt/refresh/", { body: { refresh } })
  check(refreshed.data, "refresh")
  access = refreshed.data.access
  check((await client.GET("/auth/users/me/")).data, "me again")
  check((await client.POST("/auth/jwt/blacklist/", { body: { refresh } })).data, "sign out")
  const ended = await client.GET("/auth/users/me/")
  check(ended.response.status === 401 && ended.error, "signed out")
}

void main()
