package v1

import (
	"net/url"
	"strings"

	"github.com/caddymsg/messaging/chat"
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
		f.Limited, f.Limit = true, chat.StandardListLimit
	}
	f.Limit = min(f.Limit, chat.MaxListLimit)
	return f
}
