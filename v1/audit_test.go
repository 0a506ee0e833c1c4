package v1_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
)

// Which actions the audit log has is told in the document.
func TestAuditActionsAreDocumented(t *testing.T) {
	var document struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name, Description string }
		}
	}
	answer := newServer(t).want200(t, "GET", "/v1/openapi.json", "")
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &document))
	described := map[string]string{}
	for _, p := range document.Paths["/v1/admin/audit_log"]["get"].Parameters {
		described[p.Name] = p.Description
	}
	for _, action := range chat.AuditActions() {
		require.Contains(t, described["action"], action)
	}
}
