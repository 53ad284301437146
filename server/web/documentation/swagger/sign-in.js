// Signs in with a name and a password: the access token goes into every call, and is renewed before it expires.
// Tokens are kept in this page alone, and are gone when it is left.
const RENEW_SECONDS = 15; // before the access token expires

class SignIn {
  constructor() {
    this.tokens = null;
    this.renewing = null;
  }

  /** Show the form, for the service that Swagger UI has read the document of. */
  begin(ui) {
    this.ui = ui;
    const described = ui.specSelectors.specJson().toJS();
    this.base = (described.servers?.[0]?.url ?? "/").replace(/\/$/, "");
    this.paths = {};
    for (const [path, item] of Object.entries(described.paths)) {
      for (const operation of Object.values(item)) this.paths[operation.operationId] = path;
    }
    const required = described.components.schemas.Credentials.required;
    this.login = required.find((name) => name !== "password");
    element("login").labels[0].textContent = this.login === "email" ? "E-mail address" : "Username";
    listen("sign-in", "submit", () => this.signIn(element("login").value, element("password").value));
    listen("signed-in", "submit", () => this.signOut());
    listen("register", "click", () => show("operations-users-create_user"));
    this.show();
  }

  async signIn(login, password) {
    const answer = await this.call("sign_in", { [this.login]: login, password });
    if (!answer.ok) return tell(textOf(answer));
    element("password").value = "";
    element("name").textContent = login;
    this.keep(answer.body);
    this.show();
    tell("");
  }

  async signOut() {
    const { refresh } = this.tokens;
    this.forget("");
    await this.call("sign_out", { refresh });
  }

  /** A call of Swagger UI, with a fresh token in place of one that expires. */
  async before(request) {
    if (!this.sends(request)) return request;
    const expires = JSON.parse(atob(this.tokens.access.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"))).exp;
    if (expires - Date.now() / 1000 < RENEW_SECONDS) {
      this.renewing ??= this.renew().finally(() => (this.renewing = null));
      const access = await this.renewing;
      if (access) request.headers.Authorization = `Bearer ${access}`;
    }
    return request;
  }

  /** The answer of a call of Swagger UI. Only one that refuses the access token has `messages` (contract 1.5). */
  after(response) {
    if (this.tokens && response.status === 401 && response.body?.messages) this.forget("The session has ended.");
    return response;
  }

  /** Another access token, or nothing if there is none now, the session has ended or the person has signed out. */
  async renew() {
    const { tokens } = this;
    const answer = await this.call("refresh_access_token", { refresh: tokens.refresh });
    if (this.tokens !== tokens) return null;
    if (answer.status === 401) return this.forget("The session has ended.");
    if (!answer.ok) return tell(textOf(answer)); // the session goes on: the service is busy, or cannot be reached
    this.keep({ ...tokens, ...answer.body });
    tell("");
    return answer.body.access;
  }

  sends(request) {
    return this.tokens && request.headers?.Authorization === `Bearer ${this.tokens.access}`;
  }

  keep(tokens) {
    this.tokens = tokens;
    this.ui.preauthorizeApiKey("bearer", tokens.access);
  }

  forget(text) {
    this.tokens = null;
    this.ui.authActions.logout(["bearer"]);
    this.show();
    tell(text);
  }

  show() {
    element("sign-in").hidden = this.tokens !== null;
    element("signed-in").hidden = this.tokens === null;
  }

  async call(operation, body) {
    const headers = { "Content-Type": "application/json" };
    try {
      const response = await fetch(this.base + this.paths[operation], { method: "POST", headers, body: JSON.stringify(body) });
      return { ok: response.ok, status: response.status, body: await response.json() };
    } catch {
      return { ok: false, body: { detail: "The service does not answer." } };
    }
  }
}

function element(id) {
  return document.getElementById(id);
}

function listen(id, event, act) {
  element(id).addEventListener(event, (happened) => {
    happened.preventDefault();
    act();
  });
}

function tell(text) {
  element("told").textContent = text;
}

/** The texts of an error: its detail, or those of each field. */
function textOf(answer) {
  return answer.body.detail ?? Object.values(answer.body).flat().join(" ");
}

/** Open an operation, and go there. */
function show(id) {
  const operation = element(id);
  if (!operation.classList.contains("is-open")) operation.querySelector(".opblock-summary-control").click();
  operation.scrollIntoView();
}
