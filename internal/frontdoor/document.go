package frontdoor

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	v1 "github.com/caddymsg/messaging/v1"
)

// document is the API's OpenAPI document, made ready to hold answers to it.
type document struct {
	text       []byte
	operations []documentedOperation
	// problem is what an answer looks like where there is no operation.
	problem documentedOperation
	// frame is an event, or a word of a connection itself; nil, if there are none.
	frame *jsonschema.Schema
}

type documentedOperation struct {
	id, method string
	path       []string // its segments; parameters are in braces
	// answers are schemas by status and content type. An answer without
	// content has no content type.
	answers map[string]map[string]*jsonschema.Schema
}

// ownDocument is of the API in this program, which the server is, too. To ask
// the server would show in its metrics and its log, and fail while it is down.
var ownDocument = sync.OnceValues(func() (*document, error) {
	api, err := v1.New(v1.Options{})
	if err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	api.ServeHTTP(w, httptest.NewRequest(http.MethodGet, documentPath, http.NoBody))
	return parseDocument(w.Body.Bytes())
})

const documentPath = "/v1/openapi.json"

// checkAnswer tells what in an answer of the API is not as documented.
func checkAnswer(r *http.Response, text string) error {
	at := r.Request.URL.EscapedPath()
	start := strings.Index(at+"/", "/v1/") // a site may have put the API below a path
	if start < 0 {
		return nil
	}
	d, err := ownDocument()
	if err != nil {
		return fmt.Errorf("the document itself: %w", err)
	}
	return d.check(r, at[start:], text)
}

// CheckFrame tells what in an event, or another frame, of whatever transport, is not as
// documented.
func CheckFrame(text string) error {
	d, err := ownDocument()
	if err != nil {
		return fmt.Errorf("the document itself: %w", err)
	}
	frame, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return fmt.Errorf("the frame is no JSON: %w", err)
	}
	return d.frame.Validate(frame)
}

// pages are what people look at in a browser, who come from a mail.
var pages = []string{"/v1/auth/forgot-password", "/v1/auth/reset-password", "/v1/auth/verify-email", "/v1/auth/pages.js", "/v1/auth/pages.css"}

func (d *document) check(r *http.Response, at, text string) error {
	if at == documentPath && r.StatusCode == http.StatusOK && r.Request.Method == http.MethodGet && text != string(d.text) {
		return errors.New("the server has another document than this program")
	}
	if (at == documentPath || at == "/v1/docs" || strings.HasPrefix(at, "/v1/docs/")) && r.StatusCode == http.StatusOK {
		return nil // what documents the operations is none
	}
	if slices.Contains(pages, at) && (r.Request.Method == http.MethodGet || r.Request.Method == http.MethodHead) && r.StatusCode == http.StatusOK {
		return nil
	}
	op, err := d.find(r.Request.Method, at)
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.Request.Method, at, err)
	}
	if r.StatusCode == http.StatusMethodNotAllowed {
		// Also where the path would fit an operation with a parameter in place of
		// a word.
		if slices.Contains(strings.Split(r.Header.Get("Allow"), ", "), r.Request.Method) {
			return fmt.Errorf("%s %s: 405, but Allow names it", r.Request.Method, at)
		}
		op = d.problem
	}
	if err := op.check(r, text); err != nil {
		return fmt.Errorf("%s %s (%s): %d: %w", r.Request.Method, at, op.id, r.StatusCode, err)
	}
	return nil
}

// find finds the operation that a request is for. As in http.ServeMux, words win
// over parameters; unlike there, operations may clash, and then the first word
// counts.
func (d *document) find(method, at string) (documentedOperation, error) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if path.Clean(at) != at {
		return d.problem, nil // the API has clean paths alone
	}
	best, known := d.problem, false
	segments := strings.Split(at, "/")
	for i, segment := range segments {
		var err error
		if segments[i], err = url.PathUnescape(segment); err != nil {
			return documentedOperation{}, err
		}
	}
	for _, op := range d.operations {
		if op.method == method && op.matches(segments) && (!known || op.precedes(best)) {
			best, known = op, true
		}
	}
	return best, nil
}

func isParameter(segment string) bool { return strings.HasPrefix(segment, "{") }

func (op documentedOperation) matches(segments []string) bool {
	return slices.EqualFunc(op.path, segments, func(own, segment string) bool {
		return own == segment || isParameter(own) && segment != ""
	})
}

func (op documentedOperation) precedes(other documentedOperation) bool {
	for i := range op.path {
		if word := !isParameter(op.path[i]); word == isParameter(other.path[i]) {
			return word
		}
	}
	return false
}

func (op documentedOperation) check(r *http.Response, text string) error {
	answer, ok := op.answers[fmt.Sprint(r.StatusCode)]
	if !ok {
		return errors.New("this status is not documented")
	}
	contentType := r.Header.Get("Content-Type")
	schema, ok := answer[contentType]
	if !ok {
		return fmt.Errorf("the content type %q is not documented", contentType)
	}
	if schema == nil || r.Request.Method == http.MethodHead {
		if text != "" {
			return errors.New("there should be no body")
		}
		return nil
	}
	if !strings.HasSuffix(contentType, "json") {
		return nil // JSON alone can be held to a schema
	}
	if !utf8.ValidString(text) {
		return errors.New("the body is not UTF-8")
	}
	body, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return fmt.Errorf("the body is no JSON: %w", err)
	}
	return schema.Validate(body)
}

// parseDocument compiles the schemas of all answers.
func parseDocument(text []byte) (*document, error) {
	var parsed struct {
		Paths map[string]map[string]struct {
			OperationID string
			Responses   map[string]struct{ Content map[string]any }
		}
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(text, &parsed); err != nil {
		return nil, err
	}
	raw, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		return nil, err
	}
	if err := tightenAnswers(raw); err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	compiler.RegisterFormat(&jsonschema.Format{Name: "int64", Validate: validateInt64})
	resource := url.URL{Scheme: "document", Path: "/openapi.json"}
	if err := compiler.AddResource(resource.String(), raw); err != nil {
		return nil, err
	}
	compile := func(place ...string) (*jsonschema.Schema, error) {
		at := resource
		for _, step := range place {
			at.Fragment += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(step)
		}
		return compiler.Compile(at.String())
	}

	d := &document{text: text}
	for at, operations := range parsed.Paths {
		for method, documented := range operations {
			op := documentedOperation{
				id: documented.OperationID, method: strings.ToUpper(method), path: strings.Split(at, "/"),
				answers: map[string]map[string]*jsonschema.Schema{},
			}
			for status, response := range documented.Responses {
				answer := map[string]*jsonschema.Schema{}
				for contentType := range response.Content {
					if answer[contentType], err = compile("paths", at, method, "responses", status, "content", contentType, "schema"); err != nil {
						return nil, err
					}
				}
				if len(answer) == 0 {
					answer[""] = nil
				}
				op.answers[status] = answer
			}
			d.operations = append(d.operations, op)
		}
	}

	if parsed.Components.Schemas["Frame"] != nil {
		if d.frame, err = compile("components", "schemas", "Frame"); err != nil {
			return nil, err
		}
	}
	problem, err := compile("components", "schemas", "Problem")
	if err != nil {
		return nil, err
	}
	d.problem = documentedOperation{id: "no operation", answers: map[string]map[string]*jsonschema.Schema{}}
	// The first is to a page of another site, and the last two may meet anybody.
	for _, status := range []string{"403", "404", "405", "500", "503"} {
		d.problem.answers[status] = map[string]*jsonschema.Schema{"application/problem+json": problem}
	}
	return d, nil
}

// tightenAnswers refuses in answers what clients could not know of: properties
// that are not documented, and null for a list (huma says that every list may
// be null).
func tightenAnswers(document any) error {
	var tighten func(schema any) error
	each := func(schemas any) error {
		switch schemas := schemas.(type) {
		case map[string]any:
			for _, inner := range schemas {
				if err := tighten(inner); err != nil {
					return err
				}
			}
		case []any:
			for _, inner := range schemas {
				if err := tighten(inner); err != nil {
					return err
				}
			}
		}
		return nil
	}
	tighten = func(schema any) error {
		s, ok := schema.(map[string]any)
		if !ok {
			return nil // true or false, of additionalProperties
		}
		if s["allOf"] != nil {
			return errors.New("allOf: it can't be told which properties are meant to be there")
		}
		if s["properties"] != nil {
			s["additionalProperties"] = false
		}
		if types, ok := s["type"].([]any); ok && slices.Contains(types, any("array")) {
			s["type"] = "array"
		}
		return errors.Join(each(s["properties"]), each(s["oneOf"]), each(s["anyOf"]), tighten(s["items"]), tighten(s["additionalProperties"]))
	}

	root := document.(map[string]any)
	if err := each(root["components"].(map[string]any)["schemas"]); err != nil {
		return err
	}
	for at, operations := range root["paths"].(map[string]any) {
		for method, op := range operations.(map[string]any) {
			for status, response := range op.(map[string]any)["responses"].(map[string]any) {
				content, _ := response.(map[string]any)["content"].(map[string]any)
				for _, media := range content {
					if err := tighten(media.(map[string]any)["schema"]); err != nil {
						return fmt.Errorf("%s %s: %s: %w", method, at, status, err)
					}
				}
			}
		}
	}
	return nil
}

func validateInt64(v any) error {
	number, ok := v.(json.Number)
	if !ok {
		return nil // the type says whether it must be one
	}
	_, err := number.Int64()
	return err
}
