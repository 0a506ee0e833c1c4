package httpapi

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"path"
	"path/filepath"
	"strings"

	"github.com/swaggest/swgui/v5/static"
)

//go:embed docs.html
var docsPage string

//go:embed docs.js
var docsScript []byte

// docsPolicy lets the page load what this server serves, and nothing else.
// Swagger UI sets style attributes and draws icons from data: addresses.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ServeDocs serves the document of an API at a path, and Swagger UI, to read it with,
// at another. The page and its files name each other by where they are beside each
// other: a site may have put the API below a path of its own.
func ServeDocs(mux *http.ServeMux, page, documentPath string, document []byte) error {
	serve := func(route, contentType string, content []byte) {
		if strings.HasSuffix(route, "/") {
			route += "{$}"
		}
		mux.HandleFunc("GET "+route, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Cache-Control", "no-cache")
			w.Header().Set("Content-Security-Policy", docsPolicy)
			_, _ = w.Write(content) // a client that has gone is none of our failures
		})
	}
	folder, html, err := docsHTML(page, documentPath)
	if err != nil {
		return err
	}
	serve(documentPath, "application/json", document)
	serve(page, ContentTypes[".html"], html)
	serve(path.Join(folder, "docs.js"), ContentTypes[".js"], docsScript)
	for _, name := range []string{"swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"} {
		content, err := swaggerFile(name)
		if err != nil {
			return fmt.Errorf("read Swagger UI: %w", err)
		}
		serve(path.Join(folder, name), ContentTypes[path.Ext(name)], content)
	}
	return nil
}

// docsHTML is the page, and the folder that its files are in.
func docsHTML(page, documentPath string) (folder string, html []byte, err error) {
	inside := path.Base(page) + "/" // what the files' names begin with, as seen from the page
	if strings.HasSuffix(page, "/") {
		inside = ""
	}
	at := page[:strings.LastIndexByte(page, '/')+1] // what a browser counts from
	relative, err := filepath.Rel(at, documentPath)
	if err != nil {
		return "", nil, fmt.Errorf("name the document of an API: %w", err)
	}
	t, err := template.New("").Parse(docsPage)
	if err != nil {
		return "", nil, fmt.Errorf("read the page of an API: %w", err)
	}
	var b bytes.Buffer
	err = t.Execute(&b, struct{ Folder, Document string }{inside, filepath.ToSlash(relative)})
	return at + inside, b.Bytes(), err
}

// ContentTypes are those of the files that pages consist of.
var ContentTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".png":  "image/png",
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
