package messenger

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestUUIDs(t *testing.T) {
	for _, c := range []struct {
		says, uuid string
		kind       kind
		id         int64
		ok         bool
	}{
		{"a user", "00000001-0000-4000-8000-00000000002a", userKind, 42, true},
		{"a chat", "00000002-0000-4000-8000-000000000001", chatKind, 1, true},
		{"a message", "00000003-0001-4000-8000-000000000000", messageKind, 1 << 48, true},
		{"the largest id", "00000003-7fff-4000-8000-ffffffffffff", messageKind, 1<<63 - 1, true},
		{"in upper case", "00000001-0000-4000-8000-00000000002A", userKind, 42, true},
		{"without hyphens", "0000000100004000800000000000002a", userKind, 42, true},
		{"in braces", "{00000001-0000-4000-8000-00000000002a}", userKind, 42, true},
		{"as a URN", "urn:uuid:00000001-0000-4000-8000-00000000002a", userKind, 42, true},
		{"of another kind", "00000002-0000-4000-8000-00000000002a", userKind, unknown, true},
		{"of another system", "f2abadb9-6a60-44c4-8c74-01aa2f520bf8", messageKind, unknown, true},
		{"the nil UUID", "00000000-0000-0000-0000-000000000000", userKind, unknown, true},
		{"0", "00000001-0000-4000-8000-000000000000", userKind, unknown, true},
		{"below 0", "00000001-8000-4000-8000-000000000001", userKind, unknown, true},
		{"of another variant", "00000001-0000-4000-9000-00000000002a", userKind, unknown, true},
		{"of another version", "00000001-0000-4001-8000-00000000002a", userKind, unknown, true},
		{"empty", "", userKind, unknown, false},
		{"a number", "42", userKind, unknown, false},
		{"too short", "00000001-0000-4000-8000-00000000002", userKind, unknown, false},
		{"a hyphen elsewhere", "0000000-10000-4000-8000-00000000002a", userKind, unknown, false},
		{"no hexadecimal digit", "0000000g-0000-4000-8000-00000000002a", userKind, unknown, false},
		{"half a brace", "{00000001-0000-4000-8000-00000000002a", userKind, unknown, false},
	} {
		t.Run(c.says, func(t *testing.T) {
			id, ok := parseUUID(c.kind, c.uuid)
			require.Equal(t, c.ok, ok)
			require.Equal(t, c.id, id)
		})
	}
}

// Every id has a UUID of its own, of version 4, which is read back as that id and as none
// of another kind.
func TestUUIDsAreReversible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.Int64Range(1, 1<<63-1).Draw(t, "id")
		of := rapid.SampledFrom([]kind{userKind, chatKind, messageKind}).Draw(t, "kind")
		named := uuid(of, id)
		require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, named)
		for _, k := range []kind{userKind, chatKind, messageKind} {
			got, ok := parseUUID(k, named)
			require.True(t, ok)
			require.Equal(t, map[bool]int64{true: id, false: unknown}[k == of], got)
		}
	})
}

func FuzzUUID(f *testing.F) {
	for _, seed := range []string{uuid(userKind, 1), "{" + uuid(userKind, 1<<62) + "}", "urn:uuid:", "----", "f2abadb9-6a60-44c4-8c74-01aa2f520bf8"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, ok := parseUUID(userKind, s)
		if id != unknown {
			require.Positive(t, id)
			require.True(t, ok)
			again, _ := parseUUID(userKind, uuid(userKind, id))
			require.Equal(t, id, again)
		}
	})
}

func FuzzFrame(f *testing.F) {
	for _, seed := range []string{
		`{"event":"message","data":{"text":"Hey"}}`, `{"event":"read","data":{"messageId":"` + uuid(messageKind, 1) + `"}}`,
		`{"event":"typing"}`, `[]`, `null`, `"`, `{"event":1,"data":[]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		asked, faults, ok := parseFrame(frame)
		require.True(t, ok || len(faults) > 0)
		if len(faults) == 0 && asked.messageID == nil {
			require.NotEmpty(t, asked.text)
			require.LessOrEqual(t, len([]rune(asked.text)), maxText)
		}
		require.True(t, json.Valid(badFrame(faults...)))
	})
}

// The document has the routes of the table, but for those that send a client on.
func TestDocumentHasTheRoutes(t *testing.T) {
	var told struct {
		Paths map[string]map[string]struct{ OperationID string }
	}
	require.NoError(t, json.Unmarshal(document, &told))
	var documented, there []string
	for path, methods := range told.Paths {
		for method := range maps.Keys(methods) {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	for _, route := range new(api).routes() {
		if path := strings.TrimSuffix(route.Path, "{$}"); path != "/users" && path != "/chats" && path != "/redoc" {
			there = append(there, route.Method+" "+path)
		}
	}
	slices.Sort(documented)
	slices.Sort(there)
	require.Equal(t, there, documented)
}
