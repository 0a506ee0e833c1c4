package v1

import (
	"net/url"
	"strings"

	"github.com/caddymsg/messaging/chat"
)

// MaxListLimit is the most that a list answers with at once, and
// standardListLimit what it answers with if it is not asked for more.
const (
	MaxListLimit      = 500
	standardListLimit = 100
)

// parseFilter reads the query of a list. What is not valid in it is ignored.
func parseFilter(query string, fields map[string]chat.Field) chat.Filter {
	var params []chat.Param
	for pair := range strings.SplitSeq(query, "&") { // url.Values would lose their order
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
	f := chat.ParseFilter(params, fields)
	if !f.Limited {
		f.Limited, f.Limit = true, standardListLimit
	}
	f.Limit = min(f.Limit, MaxListLimit)
	return f
}
