// Uses the client that @hey-api/openapi-ts generates for the site of school.toml.
import {
  createUser,
  getMe,
  getMyProfile,
  refreshAccessToken,
  signIn,
  signOut,
  updateMe,
  updateProfile,
} from "./school_hey_client"
import type { Registration } from "./school_hey_client"
import { client } from "./school_hey_client/client.gen"
import { check, PASSWORD, URL_OF_SERVICE } from "./check"

async function main(): Promise<void> {
  let access = ""
  client.setConfig({ baseUrl: URL_OF_SERVICE, auth: () => access })
  const account: Registration = {
    email: "hey@example.com",
    password: PASSWORD,
    first_name: "Anna",
    role: "class-student",
    profile: { fields: { grade: 7 } },
  }
  check((await createUser({ body: account })).data?.role === "class-student", "register")
  const pair = await signIn({ body: { email: account.email, password: PASSWORD } })
  check(pair.data, "sign in")
  access = pair.data.access
  check((await getMe()).data?.first_name === "Anna", "me")
  check((await updateMe({ body: { first_name: "Bea" } })).data?.first_name === "Bea", "edit")
  const profile = await getMyProfile()
  check(profile.data?.role === "class-student", "my profile")
  const grade: number | undefined = profile.data.fields.grade
  check(grade === 7, "the fields of the role")
  const changed = await updateProfile({ path: { id: profile.data.id }, body: { fields: { grade: 8 } } })
  check(changed.data?.role === "class-student" && changed.data.fields.grade === 8, "edit the fields")

  const refresh = pair.data.refresh
  const refreshed = await refreshAccessToken({ body: { refresh } })
  check(refreshed.data, "refresh")
  access = refreshed.data.access
  check((await getMe()).data, "me again")
  check((await signOut({ body: { refresh } })).data, "sign out")
  check((await getMe()).response?.status === 401, "signed out")
}

void main()
