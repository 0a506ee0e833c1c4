package groupchat

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/caddymsg/dialect"
)

// The document tells of each route, and of no other; and who needs no key.
func TestDocument(t *testing.T) {
	var d struct {
		Paths map[string]map[string]struct {
			OperationID string      `json:"operationId"`
			Security    *[]struct{} `json:"security"`
			Parameters  []struct{ Name, In string }
			Responses   map[string]struct {
				Schema map[string]any
			}
		}
		Definitions map[string]any
	}
	require.NoError(t, json.Unmarshal(document, &d))
	type operation struct{ method, path string }
	open := map[operation]bool{}
	for path, operations := range d.Paths {
		for method, o := range operations {
			open[operation{strings.ToUpper(method), "/api" + path}] = o.Security != nil
			for _, p := range o.Parameters {
				if p.In == "path" {
					require.Contains(t, path, "{"+p.Name+"}")
				}
			}
			for status, response := range o.Responses {
				if ref, ok := response.Schema["$ref"].(string); ok {
					require.Contains(t, d.Definitions, strings.TrimPrefix(ref, "#/definitions/"), "%s %s", o.OperationID, status)
				}
			}
		}
	}
	for _, route := range new(api).routes() {
		if route.Path == "/api/docs" {
			continue // for people
		}
		o := operation{route.Method, route.Path}
		require.Contains(t, open, o)
		if route.Path != "/api/logout" { // which takes a key, and does without
			require.Equal(t, route.Access == dialect.Anybody, open[o], "%v", o)
		}
		delete(open, o)
	}
	require.Empty(t, open)
}
