// The document is always our own: no query string is read, nothing is stored, no other server is asked.
// Found from this script, so that it works below a path of a proxy.
const openapi = new URL("../openapi.json", document.currentScript.src).href;

window.addEventListener("load", () => {
  SwaggerUIBundle({
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
  });
});
