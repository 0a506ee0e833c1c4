package httpapi

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A browser that opens the page finds whatever the page names, wherever the page, its
// document and the site are.
func TestDocsPageFindsItsFiles(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ page, document string }{
		{"/v1/docs", "/v1/openapi.json"},
		{"/docs", "/openapi.json"},
		{"/api/docs/", "/api/swagger.json"},
		{"/api/docs/", "/api/docs/swagger.json"},
		{"/a/docs", "/b/c/openapi.json"},
	} {
		for _, below := range []string{"", "/chat"} {
			t.Run(below+test.page+" "+test.document, func(t *testing.T) {
				t.Parallel()
				mux := http.NewServeMux()
				require.NoError(t, ServeDocs(mux, test.page, test.document, []byte(`{"openapi":"3.1.0"}`)))
				site := http.StripPrefix(below, mux)
				get := func(at *url.URL) *httptest.ResponseRecorder {
					answer := httptest.NewRecorder()
					site.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, at.String(), http.NoBody))
					return answer
				}

				page := &url.URL{Path: below + test.page}
				html := get(page)
				require.Equal(t, http.StatusOK, html.Code)
				named := regexp.MustCompile(`(?:src|href|data-document)="([^"]*)"`).FindAllStringSubmatch(html.Body.String(), -1)
				require.Len(t, named, 5)
				found := map[string]string{}
				for _, name := range named {
					reference, err := url.Parse(name[1])
					require.NoError(t, err)
					require.False(t, strings.HasPrefix(name[1], "/"), "%s is the same below every site", name[1])
					answer := get(page.ResolveReference(reference))
					require.Equal(t, http.StatusOK, answer.Code, name[1])
					require.Equal(t, docsPolicy, answer.Header().Get("Content-Security-Policy"))
					require.NotZero(t, answer.Body.Len())
					found[path.Base(name[1])] = answer.Header().Get("Content-Type")
				}
				require.Equal(t, map[string]string{
					"favicon-32x32.png": "image/png", "swagger-ui.css": "text/css; charset=utf-8",
					"swagger-ui-bundle.js": "text/javascript; charset=utf-8", "docs.js": "text/javascript; charset=utf-8",
					path.Base(test.document): "application/json",
				}, found)
			})
		}
	}
}

// A page takes no paths but its own.
func TestDocsPageIsNoFolder(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	require.NoError(t, ServeDocs(mux, "/api/docs/", "/api/swagger.json", []byte(`{}`)))
	for target, status := range map[string]int{
		"/api/docs/": 200, "/api/docs/other.js": 404, "/api/docs/docs.js/more": 404, "/api/swagger.json/": 404, "/docs.js": 404,
	} {
		answer := httptest.NewRecorder()
		require.Equal(t, status, orOK(Route(answer, httptest.NewRequest(http.MethodGet, target, http.NoBody), mux)), target)
	}
}

// orOK is what Route says, with 200 where it has had somebody answer.
func orOK(refusal int) int {
	if refusal == 0 {
		return http.StatusOK
	}
	return refusal
}
