package v1

import (
	"encoding/json"
	"fmt"

	"github.com/caddymsg/messaging/httpapi"
)

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
	return httpapi.ServeDocs(a.mux, "/v1/docs", "/v1/openapi.json", document)
}
