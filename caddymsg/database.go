package caddymsg

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

var (
	placeholders   = regexp.MustCompile(`\{[^{}]*\}`)
	onePlaceholder = regexp.MustCompile(`^\{(env|file)\.[^{}]*\}$`)
)

// resolvePlaceholders replaces the placeholders in an address or a path. What is the
// name of the option or flag that it comes from.
func resolvePlaceholders(what, value string) (string, error) {
	resolved, err := caddy.NewReplacer().ReplaceOrErr(value, true, true)
	switch {
	case err != nil && onePlaceholder.MatchString(value):
		return "", fmt.Errorf("%s: %w", what, err)
	case err != nil:
		// What stands in braces may be a piece of a password.
		return "", fmt.Errorf("%s: a placeholder in it is unknown or empty; in an address, a brace is written %%7B or %%7D", what)
	case resolved == "":
		return "", fmt.Errorf("%s: it is empty", what)
	}
	return resolved, nil
}

// writtenPassword tells whether an address of a database holds a password that
// is not a placeholder.
func writtenPassword(database string) bool {
	_, written, ok := strings.Cut(placeholders.ReplaceAllString(database, ""), "://")
	if !ok {
		return false
	}
	address, query, _ := strings.Cut(written, "?")
	_, password, _ := strings.Cut(address[:max(0, strings.LastIndex(address, "@"))], ":")
	options, _ := url.ParseQuery(query) // with what of it can be read
	return password != "" || options.Get("password") != "" || options.Get("sslpassword") != ""
}
