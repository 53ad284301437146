// Uses the client that orval generates for a site without a site file.
import {
  createUser,
  getMe,
  getMyProfile,
  refreshAccessToken,
  signIn,
  signOut,
  updateMe,
  updateProfile,
} from "./stock_orval_client"
import type { Registration } from "./stock_orval_client"
import { check, PASSWORD } from "./check"

async function main(): Promise<void> {
  const account: Registration = { username: "orval", password: PASSWORD }
  const created = await createUser(account)
  check(created.status === 201, "register")
  const pair = await signIn({ username: "orval", password: PASSWORD })
  check(pair.status === 200, "sign in")
  let headers = { Authorization: `Bearer ${pair.data.access}` }
  const me = await getMe({ headers })
  check(me.status === 200 && me.data.id === created.data.id, "me")
  const edited = await updateMe({ email: "orval@example.com" }, { headers })
  check(edited.status === 200 && edited.data.email === "orval@example.com", "edit")
  const profile = await getMyProfile({ headers })
  check(profile.status === 200, "my profile")
  const changed = await updateProfile(profile.data.id, { is_creator: true }, { headers })
  check(changed.status === 200 && changed.data.is_creator, "edit the profile")

  const refresh = pair.data.refresh
  const refreshed = await refreshAccessToken({ refresh })
  check(refreshed.status === 200, "refresh")
  headers = { Authorization: `Bearer ${refreshed.data.access}` }
  check((await getMe({ headers })).status === 200, "me again")
  check((await signOut({ refresh })).status === 200, "sign out")
  const ended = await getMe({ headers })
  check(ended.status === 401 && ended.data.code === "token_not_valid", "signed out")
}

void main()
