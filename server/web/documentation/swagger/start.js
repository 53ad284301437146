// The document is ours and nobody else's: the query string is not looked at, nothing is remembered, nothing is asked outside.
window.addEventListener("load", () => {
  SwaggerUIBundle({
    url: "/openapi.json",
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
