// Uses openapi-fetch with the types that openapi-typescript generates for the site of school.toml.
import createClient from "openapi-fetch"
import type { components, paths } from "./school_types"
import { check, PASSWORD, URL_OF_SERVICE } from "./check"

async function main(): Promise<void> {
  const client = createClient<paths>({ baseUrl: URL_OF_SERVICE })
  const account: components["schemas"]["Registration"] = {
    email: "fetch@example.com",
    password: PASSWORD,
    first_name: "Anna",
    role: "teacher",
    profile: { fields: { school: "Lyceum" } },
  }
  const created = await client.POST("/auth/users/", { body: account })
  check(created.data?.role === "teacher", "register")
  const credentials = { email: account.email, password: PASSWORD, role: "teacher" } as const
  const pair = await client.POST("/auth/jwt/create/", { body: credentials })
  check(pair.data, "sign in")
  let access = pair.data.access
  client.use({
    onRequest({ request }) {
      request.headers.set("Authorization", `Bearer ${access}`)
      return request
    },
  })
  const me = await client.GET("/auth/users/me/")
  check(me.data?.first_name === "Anna", "me")
  const edited = await client.PATCH("/auth/users/me/", { body: { first_name: "Bea", newsletter: true } })
  check(edited.data?.first_name === "Bea" && edited.data.newsletter, "edit")
  const profile = await client.GET("/api/accounts/profile/me")
  // openapi-fetch leaves out a member that is always null, as the role of a profile without one.
  check(profile.data && "role" in profile.data && profile.data.role === "teacher", "my profile")
  const school: string | undefined = profile.data.fields.school
  check(school === "Lyceum", "the fields of the role")
  const changed = await client.PATCH("/api/accounts/profile/{id}", {
    params: { path: { id: profile.data.id } },
    body: { fields: { subjects: ["latin"] } },
  })
  check(changed.data && "role" in changed.data && changed.data.role === "teacher", "edit the fields")
  check(changed.data.fields.subjects?.[0] === "latin", "the fields that are edited")

  const refresh = pair.data.refresh
  const refreshed = await client.POST("/auth/jwt/refresh/", { body: { refresh } })
  check(refreshed.data, "refresh")
  access = refreshed.data.access
  check((await client.GET("/auth/users/me/")).data, "me again")
  check((await client.POST("/auth/jwt/blacklist/", { body: { refresh } })).data, "sign out")
  check((await client.GET("/auth/users/me/")).response.status === 401, "signed out")
}

void main()
