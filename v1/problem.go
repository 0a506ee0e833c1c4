package v1

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/httpapi"
)

// Problem is the body of every error (RFC 9457).
type Problem struct {
	Title     string `json:"title" example:"Bad Request" doc:"What the status means."`
	Status    int    `json:"status" example:"400"`
	Code      string `json:"code" example:"username_taken" doc:"What went wrong, for programs. Stable."`
	Detail    string `json:"detail" example:"This username is taken." doc:"What went wrong, for people."`
	Field     string `json:"field,omitempty" example:"username" doc:"The input that is at fault."`
	RequestID string `json:"request_id,omitempty" doc:"Names the request in the server's log."`

	RetryAfter int64 `json:"retry_after,omitempty" example:"2" doc:"How many seconds to wait before asking again, if that is known: the same as the header Retry-After."`

	challenges []string // of a 401
}

// Error makes a Problem an error that huma answers with as it is.
func (p *Problem) Error() string { return p.Detail }

// GetStatus tells huma the status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType tells huma the media type.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders tells huma the header.
func (p *Problem) GetHeaders() http.Header {
	switch p.Status {
	case http.StatusUnauthorized:
		return http.Header{"Www-Authenticate": p.challenges}
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		wait := p.RetryAfter
		if wait == 0 {
			wait = 2
		}
		return http.Header{"Retry-After": {strconv.FormatInt(wait, 10)}}
	case http.StatusUpgradeRequired:
		return http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}}
	}
	return nil
}

// Faults of a request that no rule is asked about.
var (
	errNoSuchPath       = &Problem{Status: http.StatusNotFound, Code: "no_such_path", Detail: "The API has no such path."}
	errCrossSite        = &Problem{Status: http.StatusForbidden, Code: "cross_site", Detail: "Another site's page sent this request."}
	errMethodNotAllowed = &Problem{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Detail: "This path does not take this method."}
)

// status is what this API answers to each kind of refusal. Its classic routes
// know 400, 401 and 403 alone (contract 0), and the others follow their style.
func status(refusal *chat.Error) int {
	switch refusal.Kind {
	case chat.Invalid, chat.Conflict, chat.BadCredentials:
		return http.StatusBadRequest
	case chat.NotFound:
		if refusal.Field != "" {
			return http.StatusBadRequest // the input names what is not there
		}
		return http.StatusNotFound
	case chat.Unauthenticated:
		return http.StatusUnauthorized
	case chat.Forbidden:
		return http.StatusForbidden
	case chat.Unavailable:
		return http.StatusServiceUnavailable
	case chat.TooMany:
		return http.StatusTooManyRequests
	case chat.Unsupported:
		return http.StatusNotImplemented
	}
	return http.StatusInternalServerError
}

// problems are told to the clients, and to a log.
type problems struct {
	failures httpapi.Failures
	basic    bool // the site takes usernames and passwords with each request
}

// problem tells an error to the client, and to the log what only the operator
// should know. It is the only place that does.
func (to problems) problem(ctx context.Context, err error) *Problem {
	id := auth.RequestOf(ctx).ID
	p := Problem{Status: http.StatusInternalServerError, Code: "internal", Detail: "Something went wrong. The server's log knows more."}
	if refusal := chat.AsError(err); refusal != nil {
		p = Problem{Status: status(refusal), Code: refusal.Code, Detail: refusal.Message, Field: refusal.Field, RetryAfter: httpapi.Seconds(refusal.RetryAfter)}
	} else if told := (*Problem)(nil); errors.As(err, &told) {
		p = *told
	}
	p.Status = to.failures.Note(ctx, p.Status, p.Code, err)
	if p.Status == http.StatusUnauthorized && p.challenges == nil {
		p.challenges = to.challenges()
	}
	p.Title = http.StatusText(p.Status)
	p.RequestID = id
	return &p
}

// WriteError answers with a problem where there is no API to do it.
func WriteError(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	problems{failures: httpapi.Failures{Log: log}}.writeError(w, r, err)
}

// writeError answers with a problem outside of huma.
func (to problems) writeError(w http.ResponseWriter, r *http.Request, err error) {
	p := to.problem(r.Context(), err)
	maps.Copy(w.Header(), p.GetHeaders())
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	// A client that has gone is none of our failures.
	_ = json.NewEncoder(w).Encode(p)
}

// writeHumaError answers with a problem from a huma middleware.
func (to problems) writeHumaError(ctx huma.Context, err error) {
	p := to.problem(ctx.Context(), err)
	for name, values := range p.GetHeaders() {
		for _, value := range values {
			ctx.AppendHeader(name, value)
		}
	}
	ctx.SetHeader("Content-Type", p.ContentType(""))
	ctx.SetStatus(p.Status)
	_ = json.NewEncoder(ctx.BodyWriter()).Encode(p)
}

// explain is a huma transformer that turns huma's own errors into problems.
// They would echo the faulty input, and with it a password.
func (a *API) explain(ctx huma.Context, _ string, v any) (any, error) {
	if _, ours := v.(*Problem); ours {
		return v, nil
	}
	failure, ok := v.(huma.StatusError)
	if !ok {
		return v, nil
	}
	p := &Problem{Status: clientStatus(ctx, failure.GetStatus()), Code: "malformed_request", Detail: "The request can't be understood."}
	if p.Status == http.StatusRequestEntityTooLarge {
		p.Code, p.Detail = "body_too_large", fmt.Sprintf("A body has at most %d bytes.", ctx.Operation().MaxBodyBytes-1)
	} else if model, ok := failure.(*huma.ErrorModel); ok {
		p.Detail = model.Detail
		if len(model.Errors) > 0 {
			p.Field, p.Detail = fault(model.Errors[0])
		}
	}
	return a.problem(ctx.Context(), p), nil
}

// fault finds the field that is at fault, and what with it.
func fault(e *huma.ErrorDetail) (field, detail string) {
	if _, err := fmt.Sscanf(e.Message, validation.MsgExpectedRequiredProperty, &field); err == nil {
		return field, field + " is required"
	}
	if _, field, _ = strings.Cut(e.Location, "."); field == "" {
		return "", e.Message
	}
	if e.Message == validation.MsgExpectedMatchExactlyOneSchema {
		return field, field + ": neither of the forms that it may have"
	}
	return field, field + ": " + e.Message
}

// humaContext mends, for each request, what huma has no option for.
type humaContext struct {
	embedded
	body bodyReader
}

// embedded is another name for huma.Context, whose own would hide its method.
type embedded = huma.Context

// Unwrap lets humago find its own context.
func (c *humaContext) Unwrap() huma.Context { return c.embedded }

// SetStatus answers faulty input with 400 (contract 0), where huma says 422,
// and a body that can't be read with a 4xx, where huma says 500.
func (c *humaContext) SetStatus(status int) { c.embedded.SetStatus(clientStatus(c, status)) }

// SetReadDeadline does nothing. Caddy's timeouts bound how long a body may
// take; a deadline left behind on the connection would end a request that
// waits for its turn to hash a password.
func (c *humaContext) SetReadDeadline(time.Time) error { return nil }

// BodyReader keeps the error that reading ended with.
func (c *humaContext) BodyReader() io.Reader {
	c.body.Reader = c.embedded.BodyReader()
	return &c.body
}

type bodyReader struct {
	io.Reader
	err error
}

func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// clientStatus is the status in place of one that huma chose.
func clientStatus(ctx huma.Context, status int) int {
	switch status {
	case http.StatusUnprocessableEntity:
		return http.StatusBadRequest
	case http.StatusInternalServerError:
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(bodyError(ctx), &tooLarge) {
			return http.StatusRequestEntityTooLarge // Caddy's request_body set a lower limit
		} else if bodyError(ctx) != nil {
			return http.StatusBadRequest // the client broke off
		}
	}
	return status
}

func bodyError(ctx huma.Context) error {
	for {
		if c, ok := ctx.(*humaContext); ok {
			return c.body.err
		}
		outer, ok := ctx.(interface{ Unwrap() huma.Context })
		if !ok {
			return nil
		}
		ctx = outer.Unwrap()
	}
}

// problemResponse documents an error.
func (a *API) problemResponse(status int) *huma.Response {
	return &huma.Response{
		Description: http.StatusText(status),
		Content: map[string]*huma.MediaType{"application/problem+json": {
			Schema: a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem"),
		}},
	}
}
