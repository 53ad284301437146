// A small front end that knows only the contract: what CONFIG says is what a real one has fixed in its code.
// CONFIG: api, accounts (URLs), fields (of the sign-up form), login (name of its field), greets (member of `me`).

const main = document.querySelector("main")
const SECRET = ["password", "re_password", "new_password", "re_new_password"]
const titled = name => name.replace("re_", "repeat_").replaceAll("_", " ")

function show(title, ...nodes) {
  const heading = document.createElement("h1")
  heading.textContent = title
  main.replaceChildren(heading, ...nodes)
}

function paragraph(text) {
  const node = document.createElement("p")
  node.textContent = text
  return node
}

function link(text, to) {
  const node = document.createElement("a")
  node.textContent = text
  node.href = to
  const line = document.createElement("p")
  line.append(node)
  return line
}

function button(text, act) {
  const node = document.createElement("button")
  node.textContent = text
  if (act) node.onclick = act
  return node
}

// Show a fault as real front ends do: a text for each field that the form has, and for anything else its text alone.
function faults(data) {
  const list = document.createElement("ul")
  list.role = "alert"
  for (const [name, texts] of Object.entries(data)) {
    const item = document.createElement("li")
    item.textContent = name === "detail" ? texts : `${titled(name)}: ${[texts].flat().join(" ")}`
    list.append(item)
  }
  return list
}

function form(title, fields, send, done, ...more) {
  const node = document.createElement("form")
  for (const name of fields) {
    const label = document.createElement("label")
    const input = document.createElement("input")
    input.name = name
    input.type = SECRET.includes(name) ? "password" : name.startsWith("agreed_") ? "checkbox" : "text"
    input.autocomplete = "off"
    label.append(...input.type === "checkbox" ? [input, titled(name)] : [titled(name), input])
    node.append(label)
  }
  node.append(button(title))
  node.onsubmit = async event => {
    event.preventDefault()
    const inputs = [...node.querySelectorAll("input")]
    const body = Object.fromEntries(inputs.map(each => [each.name, each.type === "checkbox" ? each.checked : each.value]))
    const { ok, data } = await send(body)
    node.querySelector("[role=alert]")?.remove()
    if (ok) await done(data)
    else node.prepend(faults(data))
  }
  show(title, node, ...more)
}

const post = path => body => call("POST", path, body)

const pages = {
  "": async () => localStorage.access ? await home() : pages.login(),

  register: () => form("Sign up", [...CONFIG.fields, "password", "re_password"], post("/users/"),
    () => show("Look into your mail", paragraph("The letter has a link."), link("Sign in", "#/login"))),

  activate: (uid, token) => show("Confirm your address", button("Confirm", async () => {
    const { ok, data } = await call("POST", "/users/activation/", { uid, token })
    if (ok) location.hash = "#/login"
    else show("This did not work", faults(data))
  })),

  login: () => form("Sign in", [CONFIG.login, "password"], post("/jwt/create/"), tokens => {
    keep(tokens)
    location.hash = "#/"
  }, link("Sign up", "#/register"), link("Forgot your password?", "#/password")),

  password: () => form("Forgot your password?", ["email"], post("/users/reset_password/"),
    () => show("Look into your mail", link("Sign in", "#/login"))),

  reset: (uid, token) => form("Choose a new password", ["new_password", "re_new_password"],
    body => call("POST", "/users/reset_password_confirm/", { uid, token, ...body }),
    () => { location.hash = "#/login" }),
}

// Four requests at once: with an expired token each of them gets a 401.
async function home() {
  show("One moment")
  const answers = await Promise.all([
    call("GET", "/users/me/"),
    call("GET", "/users/"),
    call("GET", CONFIG.accounts + "/all-profiles"),
    call("GET", "/users/me/"),
  ])
  const refused = answers.find(answer => !answer.ok)
  if (refused) {
    forget()
    return show("Please sign in again", faults(refused.data), link("Sign in", "#/login"))
  }
  const [me, users, profiles] = answers.map(answer => answer.data)
  const members = document.createElement("dl")
  for (const [name, value] of Object.entries(me)) {
    const term = document.createElement("dt")
    const shown = document.createElement("dd")
    term.textContent = titled(name)
    shown.textContent = value
    members.append(term, shown)
  }
  show(`Welcome, ${me[CONFIG.greets] || "Guest"}`, members,
    paragraph(`Accounts that you see: ${users.length}. Members: ${profiles.map(each => each.user).join(", ")}.`),
    button("Load again", home), document.createTextNode(" "), button("Sign out", signOut))
}

// Both ways are seen in real front ends; both must end the session.
async function signOut() {
  const by = localStorage.client === "fetch" ? ["/token/logout/"] : ["/jwt/blacklist/", { refresh: localStorage.refresh }]
  await call("POST", ...by)
  forget()
  show("Signed out", link("Sign in", "#/login"))
}

function route() {
  const [page, ...rest] = location.hash.replace(/^#\/?/, "").split("/")
  return (pages[page] ?? pages[""])(...rest)
}
addEventListener("hashchange", route)
route()
