SwaggerUIBundle({
	// The document is where the page says, beside it.
	url: new URL(document.getElementById("docs").dataset.document, location.href).href,
	dom_id: "#docs",
	deepLinking: true,
	validatorUrl: null, // it would send the document's address to another site
});
