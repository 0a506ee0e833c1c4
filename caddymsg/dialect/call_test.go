package dialect

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// callOf is a call with a body.
func callOf(body, contentType string) *Call {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return &Call{Request: r, W: httptest.NewRecorder(), maxBody: 64}
}

func TestObject(t *testing.T) {
	t.Parallel()
	const (
		asJSON = "application/json"
		asForm = "application/x-www-form-urlencoded"
	)
	for name, test := range map[string]struct {
		takes             Forms
		body, contentType string
		want              Object
		status            int // of a refusal
		code              string
	}{
		"JSON":                      {JSON, `{"a":"b"}`, asJSON, Object{"a": "b"}, 0, ""},
		"with a charset":            {JSON, `{"a":"b"}`, "application/json; charset=utf-8", Object{"a": "b"}, 0, ""},
		"in capitals":               {JSON, `{"a":"b"}`, "Application/JSON", Object{"a": "b"}, 0, ""},
		"a number keeps its digits": {JSON, `{"a":12345678901234567890}`, asJSON, Object{"a": json.Number("12345678901234567890")}, 0, ""},
		"null is there":             {JSON, `{"a":null}`, asJSON, Object{"a": nil}, 0, ""},
		"the last of two":           {JSON, `{"a":1,"a":"b"}`, asJSON, Object{"a": "b"}, 0, ""},
		"no body":                   {JSON, "", asJSON, Object{}, 0, ""},
		"nothing but space":         {JSON, " \n", asJSON, Object{}, 0, ""},
		"a list":                    {JSON, `[1]`, asJSON, nil, 400, "not_an_object"},
		"a text":                    {JSON, `"a"`, asJSON, nil, 400, "not_an_object"},
		"null":                      {JSON, `null`, asJSON, nil, 400, "not_an_object"},
		"half of it":                {JSON, `{"a":`, asJSON, nil, 400, "malformed_body"},
		"two":                       {JSON, `{} {}`, asJSON, nil, 400, "malformed_body"},
		"something behind it":       {JSON, `{}]`, asJSON, nil, 400, "malformed_body"},
		"no UTF-8":                  {JSON, "{\"a\":\"\xff\"}", asJSON, nil, 400, "malformed_body"},
		"nested without end":        {JSON | AnyType, strings.Repeat("[", 64), asJSON, nil, 400, "malformed_body"},
		"as large as may be":        {JSON, `{"a":"` + strings.Repeat("b", 56) + `"}`, asJSON, Object{"a": strings.Repeat("b", 56)}, 0, ""},
		"too large":                 {JSON, `{"a":"` + strings.Repeat("b", 57) + `"}`, asJSON, nil, 413, "body_too_large"},
		"no type":                   {JSON, `{"a":"b"}`, "", nil, 415, "unsupported_media_type"},
		"another type":              {JSON, `{"a":"b"}`, "text/plain", nil, 415, "unsupported_media_type"},
		"a type that is none":       {JSON, `{"a":"b"}`, "json", nil, 415, "unsupported_media_type"},
		"a form that is not taken":  {JSON, `a=b`, asForm, nil, 415, "unsupported_media_type"},

		"any type":               {JSON | AnyType, `{"a":"b"}`, "", Object{"a": "b"}, 0, ""},
		"any, and named another": {JSON | AnyType, `{"a":"b"}`, "text/plain", Object{"a": "b"}, 0, ""},
		"any, and no JSON":       {JSON | AnyType, `a=b`, "text/plain", nil, 400, "malformed_body"},

		"a form":                   {JSON | Form, `a=b&c=d+e`, asForm, Object{"a": "b", "c": "d e"}, 0, ""},
		"a field twice":            {JSON | Form, `a=b&a=c`, asForm, Object{"a": []any{"b", "c"}}, 0, ""},
		"a form, and JSON":         {JSON | Form, `{"a":"b"}`, asJSON, Object{"a": "b"}, 0, ""},
		"a form without anything":  {JSON | Form, ``, asForm, Object{}, 0, ""},
		"nothing of no type":       {JSON | Form, ``, "", Object{}, 0, ""},
		"something of no type":     {JSON | Form, `a=b`, "", nil, 415, "unsupported_media_type"},
		"a form's bad escape":      {JSON | Form, `a=%zz`, asForm, nil, 400, "malformed_body"},
		"a form's bad UTF-8":       {JSON | Form, `a=%ff`, asForm, nil, 400, "malformed_body"},
		"a form that is too large": {JSON | Form, `a=` + strings.Repeat("b", 63), asForm, nil, 413, "body_too_large"},
		"no boundary":              {JSON | Form, `a`, "multipart/form-data", nil, 400, "malformed_body"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := callOf(test.body, test.contentType).Object(test.takes)
			if test.status == 0 {
				require.NoError(t, err)
				require.Equal(t, test.want, got)
				return
			}
			require.Error(t, err)
			refusal := explain(err)
			require.Equal(t, test.status, refusal.Status)
			require.Equal(t, test.code, refusal.Code)
		})
	}
}

// What stands in the query is no field of the body.
func TestObjectIsNotTheQuery(t *testing.T) {
	t.Parallel()
	c := callOf("a=b", "application/x-www-form-urlencoded")
	c.URL.RawQuery = "c=d"
	got, err := c.Object(Form)
	require.NoError(t, err)
	require.Equal(t, Object{"a": "b"}, got)
}

func TestObjectOfParts(t *testing.T) {
	t.Parallel()
	var body bytes.Buffer
	parts := multipart.NewWriter(&body)
	require.NoError(t, parts.WriteField("a", "b"))
	require.NoError(t, parts.WriteField("ä", "grüß"))
	require.NoError(t, parts.Close())
	contentType := parts.FormDataContentType()

	c := callOf(body.String(), contentType)
	c.maxBody = 1 << 10
	got, err := c.Object(JSON | Form)
	require.NoError(t, err)
	require.Equal(t, Object{"a": "b", "ä": "grüß"}, got)

	_, err = callOf(body.String(), contentType).Object(JSON | Form)
	require.Equal(t, 413, explain(err).Status)
}

func TestText(t *testing.T) {
	t.Parallel()
	object, err := parseObject([]byte(`{"text":"a","empty":"","number":1.50,"null":null,"bool":true,"list":["a"],"object":{}}`))
	require.NoError(t, err)
	for name, want := range map[string]struct {
		text string
		ok   bool
	}{
		"text": {"a", true}, "empty": {"", true}, "number": {"1.50", true},
		"null": {}, "bool": {}, "list": {}, "object": {}, "missing": {},
	} {
		text, ok := object.Text(name)
		require.Equal(t, want.text, text, name)
		require.Equal(t, want.ok, ok, name)
	}
}

func TestPathID(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]int64{
		"1": 1, "007": 7, "0": 0, "9223372036854775807": 1<<63 - 1,
		"9223372036854775808": 1<<63 - 1, // nothing has it
		"":                    -1, "-1": -1, "+1": -1, "1.0": -1, "a": -1, "1a": -1, " 1": -1, "١": -1,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.SetPathValue("id", path)
		got, err := (&Call{Request: r}).PathID("id")
		if want < 0 {
			require.Error(t, err, path)
			require.Equal(t, 404, explain(err).Status, path)
			continue
		}
		require.NoError(t, err, path)
		require.Equal(t, want, got, path)
	}
}
