// Uses the client that @hey-api/openapi-ts generates for a site without a site file.
import {
  createUser,
  getMe,
  getMyProfile,
  refreshAccessToken,
  signIn,
  signOut,
  updateMe,
  updateProfile,
} from "./stock_hey_client"
import type { ApiError, Registration } from "./stock_hey_client"
import { client } from "./stock_hey_client/client.gen"
import { check, PASSWORD, URL_OF_SERVICE } from "./check"

async function main(): Promise<void> {
  let access = ""
  client.setConfig({ baseUrl: URL_OF_SERVICE, auth: () => access })
  const account: Registration = { username: "hey", password: PASSWORD }
  const created = await createUser({ body: account })
  check(created.data?.username === "hey", "register")
  const pair = await signIn({ body: { username: "hey", password: PASSWORD } })
  check(pair.data, "sign in")
  access = pair.data.access
  check((await getMe()).data?.id === created.data.id, "me")
  check((await updateMe({ body: { email: "hey@example.com" } })).data?.email === "hey@example.com", "edit")
  const profile = await getMyProfile()
  check(profile.data, "my profile")
  const changed = await updateProfile({ path: { id: profile.data.id }, body: { is_creator: true } })
  check(changed.data?.is_creator, "edit the profile")

  const refresh = pair.data.refresh
  const refreshed = await refreshAccessToken({ body: { refresh } })
  check(refreshed.data, "refresh")
  access = refreshed.data.access
  check((await getMe()).data, "me again")
  check((await signOut({ body: { refresh } })).data, "sign out")
  const ended = await getMe()
  check(ended.error && "code" in ended.error, "signed out")
  const fault = ended.error as ApiError
  check(fault.code === "token_not_valid", "the code of the error")
}

void main()
