package v1

import (
	_ "embed"
	"net/http"

	"github.com/caddymsg/messaging/httpapi"
)

//go:embed pages/forgot-password.html
var forgotPasswordPage []byte

//go:embed pages/reset-password.html
var resetPasswordPage []byte

//go:embed pages/verify-email.html
var verifyEmailPage []byte

//go:embed pages/pages.js
var pagesScript []byte

//go:embed pages/pages.css
var pagesStyle []byte

// pagesPolicy lets the pages talk to this server and to nobody else. A form can't be
// sent by the browser itself: a password would stand in the address.
const pagesPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
	"form-action 'none'; frame-ancestors 'none'; base-uri 'none'"

// registerPages adds the pages that mails link to. A token stands behind the # of the
// link: no server, log or referrer gets to see it before the page is asked to use it.
func (a *API) registerPages() {
	serve := func(route, contentType string, content []byte) {
		a.mux.HandleFunc("GET "+route, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Cache-Control", "no-cache")
			w.Header().Set("Content-Security-Policy", pagesPolicy)
			w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
			w.Header().Set("Referrer-Policy", "no-referrer")
			_, _ = w.Write(content) // a client that has gone is none of our failures
		})
	}
	serve("/v1/auth/forgot-password", httpapi.ContentTypes[".html"], forgotPasswordPage)
	serve("/v1/auth/reset-password", httpapi.ContentTypes[".html"], resetPasswordPage)
	serve("/v1/auth/verify-email", httpapi.ContentTypes[".html"], verifyEmailPage)
	serve("/v1/auth/pages.js", httpapi.ContentTypes[".js"], pagesScript)
	serve("/v1/auth/pages.css", httpapi.ContentTypes[".css"], pagesStyle)
}
