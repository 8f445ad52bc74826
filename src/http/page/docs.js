SwaggerUIBundle({ url: "../openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null, defaultModelsExpandDepth: 0 });

// Swagger UI gives the choice of an example no name.
new MutationObserver(() => {
  for (const choice of document.querySelectorAll("select.examples-select-element:not([aria-label])")) choice.setAttribute("aria-label", "Example");
}).observe(document.getElementById("docs"), { childList: true, subtree: true });
