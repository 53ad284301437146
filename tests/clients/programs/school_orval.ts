// Uses the client that orval generates for the site of school.toml.
import {
  createUser,
  getMe,
  getMyProfile,
  refreshAccessToken,
  signIn,
  signOut,
  updateMe,
  updateProfile,
} from "./school_orval_client"
import type { Registration } from "./school_orval_client"
import { check, PASSWORD } from "./check"

async function main(): Promise<void> {
  const account: Registration = {
    email: "orval@example.com",
    password: PASSWORD,
    first_name: "Anna",
    role: "teacher",
    profile: { fields: { school: "Lyceum" } },
  }
  const created = await createUser(account)
  check(created.status === 201 && created.data.role === "teacher", "register")
  const pair = await signIn({ email: account.email, password: PASSWORD })
  check(pair.status === 200, "sign in")
  let headers = { Authorization: `Bearer ${pair.data.access}` }
  const me = await getMe({ headers })
  check(me.status === 200 && me.data.first_name === "Anna", "me")
  const edited = await updateMe({ first_name: "Bea" }, { headers })
  check(edited.status === 200 && edited.data.first_name === "Bea", "edit")
  const profile = await getMyProfile({ headers })
  check(profile.status === 200 && profile.data.role === "teacher", "my profile")
  const school: string | undefined = profile.data.fields.school
  check(school === "Lyceum", "the fields of the role")
  const changed = await updateProfile(profile.data.id, { fields: { subjects: ["latin"] } }, { headers })
  check(changed.status === 200 && changed.data.role === "teacher", "edit the fields")

  const refresh = pair.data.refresh
  const refreshed = await refreshAccessToken({ refresh })
  check(refreshed.status === 200, "refresh")
  headers = { Authorization: `Bearer ${refreshed.data.access}` }
  check((await getMe({ headers })).status === 200, "me again")
  check((await signOut({ refresh })).status === 200, "sign out")
  check((await getMe({ headers })).status === 401, "signed out")
}

void main()
