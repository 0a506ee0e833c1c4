package messenger

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/caddymsg/messaging/caddymsg/dialect"
)

// fault is something that is wrong with a request: what, and where.
type fault struct {
	Type  string `json:"type"` // stable, for programs
	Loc   []any  `json:"loc"`
	Msg   string `json:"msg"`
	Input any    `json:"input"`
}

// invalid is the answer to faults.
func invalid(faults ...fault) (status int, body any) {
	return http.StatusUnprocessableEntity, map[string][]fault{"detail": faults}
}

// input is what comes with a request, and what is wrong with it.
type input struct {
	body   dialect.Object
	query  map[string][]string
	faults []fault
}

// newInput reads the body of a request.
func newInput(c *dialect.Call) (*input, error) {
	takes := dialect.JSON
	if c.Header.Get("Content-Type") == "" {
		takes = dialect.AnyType
	}
	body, err := c.Object(takes)
	return &input{body: body, query: c.URL.Query()}, err
}

// err is a refusal, if anything was wrong.
func (in *input) err() error {
	if len(in.faults) == 0 {
		return nil
	}
	status, body := invalid(in.faults...)
	return &dialect.Refusal{Status: status, Code: "invalid", Message: in.faults[0].Msg, Body: body}
}

func (in *input) fault(kind, msg string, value any, loc ...any) {
	in.faults = append(in.faults, fault{Type: kind, Loc: loc, Msg: msg, Input: value})
}

// secret is the field that no answer shows: it would be in logs.
const secret = "password"

// field finds a field by the first of its names that is there.
func (in *input) field(required bool, names ...string) (value any, there bool) {
	for _, name := range names {
		if value, there = in.body[name]; there {
			return value, true
		}
	}
	if required {
		// Not what is there: a password may be, by another name.
		in.fault("missing", "This field is required.", nil, "body", names[0])
	}
	return nil, false
}

// text reads a text. White space around it does not count.
func (in *input) text(name string) string {
	value, there := in.field(true, name)
	text, ok := value.(string)
	if there && !ok {
		if name == secret {
			value = nil
		}
		in.fault("string_type", "This is no text.", value, "body", name)
	}
	return strings.TrimSpace(text)
}

// optionalText is text where it may be missing, or null.
func (in *input) optionalText(name string) string {
	if value, _ := in.field(false, name); value == nil {
		return ""
	}
	return in.text(name)
}

// oneOf reads a word.
func (in *input) oneOf(name string, words ...string) string {
	value, there := in.field(true, name)
	word, _ := value.(string)
	if there && !slices.Contains(words, word) {
		in.fault("enum", "This is none of "+strings.Join(words, " and ")+".", value, "body", name)
	}
	return word
}

// ids reads a list of UUIDs.
func (in *input) ids(k kind, names ...string) []int64 {
	value, there := in.field(true, names...)
	list, ok := value.([]any)
	if there && !ok {
		in.fault("list_type", "This is no list.", value, "body", names[0])
	}
	ids := make([]int64, 0, len(list))
	for i, value := range list {
		text, _ := value.(string)
		id, ok := parseUUID(k, strings.TrimSpace(text))
		if !ok {
			in.fault("uuid_parsing", "This is no UUID.", value, "body", names[0], i)
		}
		ids = append(ids, id)
	}
	return ids
}

// id reads a UUID from a place such as the path.
func (in *input) id(k kind, value string, loc ...any) int64 {
	id, ok := parseUUID(k, value)
	if !ok {
		in.fault("uuid_parsing", "This is no UUID.", value, loc...)
	}
	return id
}

// queryID reads a UUID from the query.
func (in *input) queryID(k kind, name string) int64 {
	values := in.query[name]
	if len(values) == 0 {
		in.fault("missing", "This parameter is required.", nil, "query", name)
		return 0
	}
	return in.id(k, values[len(values)-1], "query", name)
}

// queryNumber reads a number from the query. The largest there is stands for all that are
// larger.
func (in *input) queryNumber(name string, standard int64) int64 {
	values := in.query[name]
	if len(values) == 0 {
		return standard
	}
	typed := values[len(values)-1]
	n, err := strconv.ParseInt(strings.TrimSpace(typed), 10, 64)
	if err != nil && n == 0 { // no number at all
		in.fault("int_parsing", "This is no whole number.", typed, "query", name)
	}
	return n
}
