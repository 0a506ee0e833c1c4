package v1

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/caddymsg/messaging/auth"
)

type credentials struct {
	_        struct{} `additionalProperties:"true"`
	Username string   `json:"username" example:"alice" doc:"Letters, digits and visible ASCII characters but the slash; at most 64. Upper and lower case are the same name."`
	Password string   `json:"password" example:"correct horse battery" doc:"At most 72 bytes."`
}

type credentialsInput struct {
	Body credentials
}

type registerInput struct {
	Body struct {
		_          struct{} `additionalProperties:"true"`
		Username   string   `json:"username" example:"alice" doc:"Letters, digits and visible ASCII characters but the slash; at most 64. Upper and lower case are the same name."`
		Password   string   `json:"password" example:"correct horse battery" doc:"At most 72 bytes. None of the most common ones, nor the username."`
		Email      string   `json:"email,omitempty" example:"alice@example.com" doc:"An address; required where accounts are for addresses of certain domains. Where mails can be sent, one is sent there, to verify it."`
		Invitation string   `json:"invitation,omitempty" example:"cmsg_inv_ABCDEFGHIJKLMNOPQRSTUVWXYZ2345ABC" doc:"The token of one. It is used up where accounts are made by invitation, and else has no effect."`
	}
}

type userOutput struct {
	Body User
}

// Pending is what is told of an account that is yet to be made.
type Pending struct {
	Pending bool `json:"pending" example:"true" doc:"It is made when the token that was sent by mail is verified, within a day."`
}

type registerOutput struct {
	Status int
	Body   registered
}

// registered is a [User], or [Pending].
type registered struct{ User *User }

// Schema documents the account that has been made; the other answer has a status of its
// own.
func (registered) Schema(r huma.Registry) *huma.Schema { return schemaOf[User](r) }

// MarshalJSON writes what there is.
func (r registered) MarshalJSON() ([]byte, error) {
	if r.User == nil {
		return json.Marshal(Pending{Pending: true})
	}
	return json.Marshal(r.User)
}

func schemaOf[T any](r huma.Registry) *huma.Schema { return r.Schema(reflect.TypeFor[T](), true, "") }

type loginOutput struct {
	SetCookie []http.Cookie `header:"Set-Cookie"`
	Body      User
}

type logoutOutput struct {
	SetCookie []http.Cookie `header:"Set-Cookie"`
	Body      struct{}
}

func (a *API) registerAuth() {
	tag := func(op huma.Operation) huma.Operation {
		op.Tags = []string{"auth"}
		return op
	}
	signUp := tag(a.operation(http.MethodPost, "/v1/auth/register", "register",
		"Make an account", 400, 403, 413, 429))
	signUp.Responses["202"] = &huma.Response{
		Description: http.StatusText(http.StatusAccepted),
		Content:     map[string]*huma.MediaType{"application/json": {Schema: schemaOf[Pending](a.huma.OpenAPI().Components.Schemas)}},
	}
	signUp.Description = "It takes no idempotency key: a key is one's own, and nobody is signed in. Again, the username is taken."
	register(a, signUp, a.registerUser)

	login := tag(a.operation(http.MethodPost, "/v1/auth/login", "login",
		"Sign in; the answer sets the session cookie", 400, 413, 429))
	login.Middlewares = huma.Middlewares{a.noteSession}
	register(a, login, a.login)

	logout := a.signedIn(tag(a.operation(http.MethodPost, "/v1/auth/logout", "logout",
		"End the session that the request comes by, whatever its kind")))
	register(a, logout, a.logout)
}

func (a *API) registerUser(ctx context.Context, in *registerInput) (*registerOutput, error) {
	b := in.Body
	user, pending, err := a.auth.Register(ctx, auth.Registration{
		Username: b.Username, Password: b.Password, Email: b.Email, Invitation: b.Invitation,
	})
	if err != nil {
		return nil, err
	}
	if pending {
		return &registerOutput{Status: http.StatusAccepted}, nil
	}
	made := newUser(user)
	return &registerOutput{Status: http.StatusOK, Body: registered{&made}}, nil
}

func (a *API) login(ctx context.Context, in *credentialsInput) (*loginOutput, error) {
	session, err := a.auth.Login(ctx, in.Body.Username, in.Body.Password, tokenOf(ctx))
	if err != nil {
		return nil, err
	}
	secure := auth.RequestOf(ctx).Secure
	cookie, err := a.auth.Cookies().Set(session.Token, session.Lifetime, secure)
	if err != nil {
		return nil, err
	}
	device, err := a.auth.Cookies().SetDevice(session.Device, secure)
	if err != nil {
		return nil, err
	}
	return &loginOutput{SetCookie: []http.Cookie{*cookie, *device}, Body: newUser(session.User)}, nil
}

func (a *API) logout(ctx context.Context, _ *struct{}) (*logoutOutput, error) {
	byCookie, err := a.auth.Logout(ctx, callerOf(ctx))
	if err != nil {
		return nil, err
	}
	out := &logoutOutput{}
	// Who signs out by a token leaves the browser's session, if there is one, alone.
	if byCookie {
		out.SetCookie = []http.Cookie{*a.auth.Cookies().Clear(auth.RequestOf(ctx).Secure)}
	}
	return out, nil
}

type tokenKey struct{}

// noteSession keeps the session token that a request came with, for those who sign in
// anew, which ends that session.
func (a *API) noteSession(ctx huma.Context, next func(huma.Context)) {
	r, _ := humago.Unwrap(ctx)
	token, _ := a.auth.Cookies().Token(r, auth.RequestOf(r.Context()).Secure)
	next(huma.WithValue(ctx, tokenKey{}, token))
}

func tokenOf(ctx context.Context) []byte {
	return ctx.Value(tokenKey{}).([]byte)
}
