package v1

import (
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// timestamp is a time in an answer: UTC, and always with six decimals, so that
// timestamps sort as strings do.
type timestamp time.Time

const timestampLayout = "2006-01-02T15:04:05.000000Z"

// Schema documents what MarshalJSON writes.
func (timestamp) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time", Description: "UTC.", Examples: []any{timestampLayout}}
}

// MarshalJSON writes the time in RFC 3339.
func (t timestamp) MarshalJSON() ([]byte, error) {
	return t.appendJSON(nil), nil
}

func (t timestamp) appendJSON(b []byte) []byte {
	return time.Time(t).UTC().AppendFormat(b, `"`+timestampLayout+`"`)
}
