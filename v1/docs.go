package v1

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/swaggest/swgui/v5/static"
)

//go:embed docs.html
var docsPage []byte

//go:embed docs.js
var docsScript []byte

// docsPolicy lets the page load what this server serves, and nothing else.
// Swagger UI sets style attributes and draws icons from data: addresses.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// registerDocs adds the OpenAPI document of all routes registered so far, and
// Swagger UI to read it with.
func (a *API) registerDocs() error {
	components := a.huma.OpenAPI().Components.Schemas.Map()
	// huma's own, which no answer has.
	delete(components, "ErrorModel")
	delete(components, "ErrorDetail")
	document, err := json.Marshal(a.huma.OpenAPI())
	if err != nil {
		return fmt.Errorf("encode the OpenAPI document: %w", err)
	}
	serve := func(route, contentType string, content []byte) {
		a.mux.HandleFunc("GET "+route, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Cache-Control", "no-cache")
			w.Header().Set("Content-Security-Policy", docsPolicy)
			_, _ = w.Write(content) // a client that has gone is none of our failures
		})
	}
	serve("/v1/openapi.json", "application/json", document)
	serve("/v1/docs", "text/html; charset=utf-8", docsPage)
	serve("/v1/docs/docs.js", "text/javascript; charset=utf-8", docsScript)
	for _, name := range []string{"swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"} {
		content, err := swaggerFile(name)
		if err != nil {
			return fmt.Errorf("read Swagger UI: %w", err)
		}
		serve(path.Join("/v1/docs", name), contentTypes[path.Ext(name)], content)
	}
	return nil
}

var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".png": "image/png",
}

// swaggerFile reads a file of Swagger UI, which is packed but for the pictures.
func swaggerFile(name string) ([]byte, error) {
	if strings.HasSuffix(name, ".png") {
		return fs.ReadFile(static.FS, name)
	}
	packed, err := fs.ReadFile(static.FS, name+".gz")
	if err != nil {
		return nil, err
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
