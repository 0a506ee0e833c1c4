SwaggerUIBundle({
	url: new URL("openapi.json", location.href).href,
	dom_id: "#docs",
	deepLinking: true,
	validatorUrl: null, // it would send the document's address to another site
});
