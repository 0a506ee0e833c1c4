package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/caddymsg/messaging/chat"
)

// Call is a request that a controller answers.
type Call struct {
	*http.Request
	W http.ResponseWriter
	// Caller is who asks; nobody, if anybody may.
	Caller  chat.Caller
	maxBody int64
}

// JSON answers.
func (c *Call) JSON(status int, body any) error {
	writeJSON(c.W, status, body)
	return nil
}

// PathID reads an id from the path. What is not all digits is no path of an API; a number
// that nothing can have is of what does not exist.
func (c *Call) PathID(name string) (int64, error) {
	s := c.PathValue(name)
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, errNoSuchPath
	}
	id, _ := strconv.ParseInt(s, 10, 64) // the largest there is, if the number is larger
	return id, nil
}

// ByID is a controller of what a path names by an id.
func ByID(name string, handle func(c *Call, id int64) error) func(*Call) error {
	return func(c *Call) error {
		id, err := c.PathID(name)
		if err != nil {
			return err
		}
		return handle(c, id)
	}
}

// Forms are the kinds of body that a dialect takes.
type Forms int

// JSON, and what browsers send of a form.
const (
	JSON Forms = 1 << iota
	Form
	// AnyType takes a body for JSON if it is no form, whatever its Content-Type says.
	AnyType
)

// Object reads the body, which is an object: JSON, or a form whose fields are texts. No
// body is an empty object. It returns a Refusal: 415 for another type of body, 413 for
// one that is too large, and 400 with the code malformed_body, and not_an_object.
func (c *Call) Object(takes Forms) (Object, error) {
	contentType, _, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	isForm := err == nil && (contentType == "application/x-www-form-urlencoded" || contentType == "multipart/form-data")
	c.Body = http.MaxBytesReader(c.W, c.Body, c.maxBody)
	switch {
	case isForm && takes&Form != 0:
		return c.form(contentType)
	case takes&AnyType == 0 && contentType != "application/json" && (c.ContentLength != 0 || takes&Form == 0):
		return nil, &Refusal{
			Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Message: "A body is JSON here.",
		}
	}
	body, err := io.ReadAll(c.Body)
	if err != nil {
		return nil, c.unreadable(err)
	}
	return parseObject(body)
}

// parseObject reads an object in JSON.
func parseObject(body []byte) (Object, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return Object{}, nil
	}
	if !utf8.Valid(body) {
		return nil, malformed("The body is not UTF-8.") // encoding/json would put U+FFFD in its place
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, malformed("The body is not JSON.")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed("The body is not JSON: something stands behind it.")
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, &Refusal{Status: http.StatusBadRequest, Code: "not_an_object", Message: "The body is no object."}
	}
	return object, nil
}

func malformed(message string) error {
	return &Refusal{Status: http.StatusBadRequest, Code: "malformed_body", Message: message}
}

// form reads a form.
func (c *Call) form(contentType string) (Object, error) {
	parse := c.ParseForm
	if contentType == "multipart/form-data" {
		parse = func() error { return c.ParseMultipartForm(c.maxBody) }
	}
	if err := parse(); err != nil {
		return nil, c.unreadable(err)
	}
	for _, values := range c.PostForm {
		for _, value := range values {
			if !utf8.ValidString(value) {
				return nil, malformed("The body is not UTF-8.")
			}
		}
	}
	return ObjectOf(c.PostForm), nil
}

// ObjectOf has what a form or a query has. What is there several times is a list.
func ObjectOf(form url.Values) Object {
	object := Object{}
	for name, values := range form {
		object[name] = values[0]
		if len(values) > 1 {
			list := make([]any, len(values))
			for i, value := range values {
				list[i] = value
			}
			object[name] = list
		}
	}
	return object
}

func (c *Call) unreadable(err error) error {
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return &Refusal{
			Status: http.StatusRequestEntityTooLarge, Code: "body_too_large",
			Message: fmt.Sprintf("A body has at most %d bytes.", tooLarge.Limit),
		}
	}
	return malformed("The body can't be read.")
}

// Object is the body of a request. Numbers are [json.Number].
type Object map[string]any

// Text reads a text, or a number as its digits; ok is false for anything else, and for
// what is not there.
func (o Object) Text(name string) (text string, ok bool) { return TextOf(o[name]) }

// TextOf is what [Object.Text] reads, of a value.
func TextOf(value any) (text string, ok bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	}
	return "", false
}
