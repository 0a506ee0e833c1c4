package caddymsg_test

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// preparation is what an operation's examples need beside the world.
type preparation struct {
	// either are fields of which a request needs one, and takes one. No schema
	// says so.
	either []string
	// elsewhere are fields that another site takes: one that sends no mails.
	elsewhere []string
	// path has what stands in the path in place of the examples.
	path map[string]string
	// before is asked first, as alice: method, path, body.
	before []string
	// together are fields that go with each request, and never those that take a secret
	// that no example can have. No schema says so.
	together, never []string
	header          []string
}

// preparations are by operation. Most need none.
var preparations = map[string]preparation{
	"issue-token":          {together: []string{"username", "password"}, never: []string{"refresh_token"}},
	"issue-token-by-basic": {header: []string{"Authorization", basicAuth("alice", worldPassword)}},

	"register":        {before: []string{"DELETE /v1/me"}},
	"add-participant": {before: []string{"DELETE /v1/group_chat/1/participants/bob"}},
	"send-message":    {either: []string{"group_chat_id", "dest_username"}},
	"send-to-chat":    {either: []string{"text", "texts"}},
	"search":          {either: []string{"q"}},
	"update-me":       {elsewhere: []string{"email"}}, // see TestUsers

	"join-group":     {path: map[string]string{"group_chat_id": "4"}},
	"get-invitation": {path: map[string]string{"token": "{invite 4}"}},
	"accept-invite":  {path: map[string]string{"token": "{invite 4}"}},
	"get-poll":       {path: aPoll},
	"vote":           {path: aPoll},
	"list-votes":     {path: aPoll},
	"close-poll":     {path: aPoll},
}

var aPoll = map[string]string{"message_id": "4"}

// TestExamples sends the examples of the document, as alice; those of administrators,
// as root. They are answered with success, and the client holds the answers to the
// document.
func TestExamples(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		w := newWorld(t, engine)
		operations := w.operations()
		for _, id := range slices.Sorted(maps.Keys(operations)) {
			op, prepare := operations[id], preparations[id]
			inputs, missing := w.inputs(op)
			if len(missing) > 0 {
				t.Errorf("%s: no example of %s", id, strings.Join(missing, ", "))
				continue
			}
			if id == "open-websocket" {
				continue // it takes more than its inputs
			}
			inputs = slices.DeleteFunc(inputs, func(i input) bool { return slices.Contains(prepare.never, i.name) })
			for i := range inputs {
				inputs[i].required = inputs[i].required || slices.Contains(prepare.together, inputs[i].name)
			}
			inputs = slices.DeleteFunc(inputs, func(in input) bool { return slices.Contains(prepare.elsewhere, in.name) })
			for _, v := range variants(inputs, prepare.either) {
				t.Run(id+" "+v.name, func(t *testing.T) {
					w.restore()
					for _, call := range prepare.before {
						call := append(strings.SplitN(call, " ", 3), "")
						w.must("alice", call[0], call[1], call[2])
					}
					r := w.send(op, v.given, prepare.path, prepare.header...)
					require.Equal(t, op.success(t), r.StatusCode, "%s: %s", r.Request.URL, r.Text)
				})
			}
		}
		require.Subset(t, slices.Collect(maps.Keys(operations)), slices.Collect(maps.Keys(preparations)))
	})
}

// input is a part of a request, with its example.
type input struct {
	in, name string
	required bool
	example  any
}

// inputs are what an operation's request is made of. missing are those without an
// example.
func (w *world) inputs(op *worldOperation) (inputs []input, missing []string) {
	add := func(in, name string, required bool, schema object, examples any) {
		example, ok := w.api.example(object{"examples": examples})
		if !ok {
			example, ok = w.api.example(schema)
		}
		if !ok {
			missing = append(missing, in+" "+name)
		}
		inputs = append(inputs, input{in, name, required, example})
	}
	parameters, _ := op.raw["parameters"].([]any)
	for _, p := range parameters {
		p := p.(object)
		required, _ := p["required"].(bool)
		add(p["in"].(string), p["name"].(string), required, p["schema"].(object), []any{p["example"]})
	}
	body, _ := op.raw["requestBody"].(object)
	if body == nil {
		return inputs, missing
	}
	schema := w.api.follow(body["content"].(object)["application/json"].(object)["schema"].(object))
	required, _ := schema["required"].([]any)
	properties, _ := schema["properties"].(object)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		add("body", name, slices.Contains(required, any(name)), properties[name].(object), nil)
	}
	return inputs, missing
}

func (d document) follow(schema object) object {
	for {
		ref, ok := schema["$ref"].(string)
		if !ok {
			return schema
		}
		schema = d.resolve(ref).(object)
	}
}

// example finds or makes an example of a schema.
func (d document) example(schema object) (any, bool) {
	schema = d.follow(schema)
	if examples, _ := schema["examples"].([]any); len(examples) > 0 && examples[0] != nil {
		return examples[0], true
	}
	if choices, _ := schema["oneOf"].([]any); len(choices) > 0 {
		return d.example(choices[0].(object))
	}
	if items, ok := schema["items"].(object); ok {
		item, ok := d.example(items)
		return []any{item}, ok
	}
	properties, ok := schema["properties"].(object)
	made := object{}
	for name, property := range properties {
		value, given := d.example(property.(object))
		made[name], ok = value, ok && given
	}
	return made, ok
}

// variant is a request that an operation's examples make.
type variant struct {
	name  string
	given []input
}

// variants show every example: what is required alone, with each of the other
// inputs, and with all of them, as the docs page fills them in.
func variants(inputs []input, either []string) []variant {
	with := func(optional ...input) (given []input) {
		asked := func(name string) bool {
			return slices.ContainsFunc(optional, func(i input) bool { return i.name == name })
		}
		choice := either
		if chosen := slices.IndexFunc(either, asked); chosen >= 0 {
			choice = either[chosen:]
		}
		for _, i := range inputs {
			if slices.Contains(either, i.name) {
				if i.name == choice[0] {
					given = append(given, i)
				}
			} else if i.required || asked(i.name) {
				given = append(given, i)
			}
		}
		return given
	}
	found := []variant{{"plain", with()}}
	var optional []input
	for _, i := range inputs {
		if !i.required {
			optional = append(optional, i)
			found = append(found, variant{"with " + i.name, with(i)})
		}
	}
	if len(optional) > 1 {
		found = append(found, variant{"with all", with(optional...)})
	}
	return found
}

// send makes a request of inputs and sends it.
func (w *world) send(op *worldOperation, given []input, values map[string]string, header ...string) *frontdoor.Response {
	w.t.Helper()
	path, query, body := op.path, url.Values{}, object{}
	for _, i := range given {
		text, ok := i.example.(string)
		if !ok {
			text = frontdoor.JSON(w.t, i.example)
		}
		switch i.in {
		case "path":
			if value, ok := values[i.name]; ok {
				text = w.fill(value)
			}
			path = strings.ReplaceAll(path, "{"+i.name+"}", url.PathEscape(text))
		case "query":
			if _, list := i.example.([]any); list { // of numbers, with commas between them
				text = strings.Trim(text, "[]")
			}
			query.Set(i.name, text)
		case "header":
			header = append(header, i.name, text)
		case "body":
			body[i.name] = i.example
		default:
			w.t.Fatalf("%s: this test does not know inputs in %s", i.name, i.in)
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	text := ""
	if description, ok := op.raw["requestBody"].(object); ok && (len(body) > 0 || description["required"] == true) {
		text = frontdoor.JSON(w.t, body)
	}
	who := "alice"
	if strings.HasPrefix(op.path, "/v1/admin/") {
		who = "root"
	}
	return w.ask(who, op.method, path, text, header...)
}

// success is the status that the document promises if all goes well.
func (op *worldOperation) success(t *testing.T) int {
	t.Helper()
	var found []string
	for status := range op.raw["responses"].(object) {
		if strings.HasPrefix(status, "2") {
			found = append(found, status)
		}
	}
	require.NotEmpty(t, found, "statuses of success")
	status, err := strconv.Atoi(slices.Min(found))
	require.NoError(t, err)
	return status
}
