package simplechats

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/chat"
)

// secrets are parameters that are read from the body alone.
var secrets = []string{"password", "token"}

// parameters are those of a request, from wherever they come: its body, in JSON or as a
// form, and its query string. What is in the body counts. What is secret is nowhere else:
// the query string is kept in logs.
func parameters(c *dialect.Call) (dialect.Object, error) {
	object, err := c.Object(dialect.JSON | dialect.Form | dialect.AnyType)
	if err != nil {
		return nil, err
	}
	for name, value := range dialect.ObjectOf(c.URL.Query()) {
		if _, given := object[name]; !given && !slices.Contains(secrets, name) {
			object[name] = value
		}
	}
	return object, nil
}

// faults are what is wrong with parameters, by their names.
type faults map[string]string

func (f faults) body() any { return map[string]faults{"message": f} }

// refusal is nil, if nothing is wrong.
func (f faults) refusal() error {
	if len(f) == 0 {
		return nil
	}
	return &dialect.Refusal{Status: http.StatusBadRequest, Code: "parameter_invalid", Message: "A parameter is missing, or is of no use.", Body: f.body()}
}

const noText = "This is a text."

// missing is what is said of a parameter that is not there.
func missing(name string) string {
	if slices.Contains(secrets, name) {
		return "This is required, in the body."
	}
	return "This is required, in the body or in the query string."
}

// texts reads parameters that must be there, and says of all at once what is wrong.
func texts(c *dialect.Call, names ...string) (map[string]string, error) {
	object, err := parameters(c)
	if err != nil {
		return nil, err
	}
	found, wrong := map[string]string{}, faults{}
	for _, name := range names {
		value, given := object[name]
		text, ok := dialect.TextOf(value)
		switch {
		case !given:
			wrong[name] = missing(name)
		case !ok:
			wrong[name] = noText
		}
		found[name] = text
	}
	return found, wrong.refusal()
}

// filter reads the query of a list. What is not valid in it is ignored.
func filter(c *dialect.Call, fields map[string]chat.Field) chat.Filter {
	var params []chat.Param
	for pair := range strings.SplitSeq(c.URL.RawQuery, "&") { // url.Values would lose their order
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			continue
		}
		if value, err = url.QueryUnescape(value); err != nil {
			continue
		}
		params = append(params, chat.Param{Name: name, Value: value})
	}
	return chat.ParseFilter(params, fields)
}
