// How front ends of this contract send requests: one client with axios, one with fetch. Both send what real ones do:
// credentials, CSRF and tracing headers on every request. A 401 makes them refresh the token and send the request again.

const ODD_HEADERS = {
  "X-CSRFToken": "none",
  "X-Requested-With": "XMLHttpRequest",
  "Cache-Control": "no-cache",
  "sentry-trace": "771a43a4192642f0b136d5159a501700-7c51afd529da4a2a-1",
  "baggage": "sentry-environment=production",
  "traceparent": "00-771a43a4192642f0b136d5159a501700-7c51afd529da4a2a-01",
}

const authorization = () => localStorage.access ? { Authorization: `JWT ${localStorage.access}` } : {}

function keep(tokens) {
  for (const name of ["access", "refresh"]) if (tokens[name]) localStorage[name] = tokens[name]
}

function forget() {
  localStorage.removeItem("access")
  localStorage.removeItem("refresh")
}

// An axios instance with interceptors, as most front ends have it. Each request that gets a 401 refreshes by itself.
function withAxios() {
  const http = axios.create({ baseURL: CONFIG.api, withCredentials: true, headers: ODD_HEADERS })
  http.interceptors.request.use(config => {
    Object.assign(config.headers, authorization())
    return config
  })
  http.interceptors.response.use(null, async error => {
    const { config, response } = error
    if (response?.status !== 401 || config.again || !localStorage.refresh) throw error
    const refreshed = await axios.post(`${CONFIG.api}/jwt/refresh/`, { refresh: localStorage.refresh },
      { withCredentials: true, headers: ODD_HEADERS })
    keep(refreshed.data)
    return http({ ...config, again: true })
  })
  return async (method, path, data) => {
    const response = await http({ method, url: path, data, validateStatus: status => status !== 401 && status < 500 })
      .catch(error => error.response)
    if (!response) throw new Error("The service cannot be reached.")
    return { ok: response.status < 300, data: response.data }
  }
}

// A wrapper around fetch. All requests that get a 401 at the same moment share one refresh.
function withFetch() {
  let refreshing = null
  const send = (method, path, data) => fetch(path.startsWith("http") ? path : CONFIG.api + path, {
    method,
    credentials: "include",
    headers: { "Content-Type": "application/json", ...ODD_HEADERS, ...authorization() },
    body: data && JSON.stringify(data),
  })
  const refresh = async () => {
    const response = await send("POST", "/jwt/refresh/", { refresh: localStorage.refresh })
    if (response.ok) keep(await response.json())
  }
  return async (method, path, data) => {
    let response = await send(method, path, data)
    if (response.status === 401 && localStorage.refresh) {
      refreshing ??= refresh().finally(() => { refreshing = null })
      await refreshing
      response = await send(method, path, data)
    }
    const text = await response.text()
    return { ok: response.ok, data: text ? JSON.parse(text) : "" }
  }
}

// `?client=fetch` or `?client=axios` chooses; a link of a letter opens the page without it.
localStorage.client = new URLSearchParams(location.search).get("client") ?? localStorage.client ?? "axios"
const call = localStorage.client === "fetch" ? withFetch() : withAxios()
