// The document is always our own: no query string is read, nothing is stored, no other server is asked.
// Found from this script, so that it works below a path of a proxy.
const openapi = new URL("../openapi.json", document.currentScript.src).href;

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const colour = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", colour);
colour();

// Swagger UI names its lists only by what stands beside them; screen readers need a name in the element itself.
const NAMES = {
  "#servers": "Server",
  ".content-type": "Media type",
  ".examples-select-element": "Example",
  ".parameters select": "Value",
  ".body-param textarea": "Request body",
};

/** Name the elements of Swagger UI, and let the keyboard scroll what is wider than the page. */
function name(root) {
  for (const [selector, text] of Object.entries(NAMES)) {
    for (const each of root.querySelectorAll(`${selector}:not([aria-label])`)) each.setAttribute("aria-label", text);
  }
  for (const each of root.querySelectorAll("pre:not([tabindex])")) each.tabIndex = 0;
}

window.addEventListener("load", () => {
  const signIn = new SignIn();
  const root = document.getElementById("swagger-ui");
  new MutationObserver(() => name(root)).observe(root, { childList: true, subtree: true });
  const ui = SwaggerUIBundle({
    url: openapi,
    dom_id: "#swagger-ui",
    queryConfigEnabled: false,
    persistAuthorization: false,
    validatorUrl: null,
    deepLinking: false,
    tryItOutEnabled: true,
    defaultModelsExpandDepth: 0,
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    requestInterceptor: (request) => signIn.before(request),
    responseInterceptor: (response) => signIn.after(response),
    onComplete: () => signIn.begin(ui),
  });
});
