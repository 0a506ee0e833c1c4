package v1

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/chat"
)

type credentialInput struct {
	IdempotencyKey string `header:"Idempotency-Key" example:"0f3c6b52" doc:"If the answer to a refresh is lost, the same refresh token with the same key gets it again. Without a key that would be a reuse."`
	Body           struct {
		_            struct{} `additionalProperties:"true"`
		Username     string   `json:"username,omitempty" example:"alice" doc:"With password, to sign in."`
		Password     string   `json:"password,omitempty" example:"correct horse battery"`
		RefreshToken string   `json:"refresh_token,omitempty" example:"cmsg_rt_…" doc:"Alone, in place of them."`
	}
}

// Tokens are what a program holds a session by.
type Tokens struct {
	AccessToken      string `json:"access_token" example:"cmsg_at_…" doc:"For the header Authorization."`
	TokenType        string `json:"token_type" enum:"Bearer" example:"Bearer"`
	ExpiresIn        int64  `json:"expires_in" example:"3600" doc:"In seconds. Then, or before, it has to be refreshed."`
	RefreshToken     string `json:"refresh_token" example:"cmsg_rt_…" doc:"For POST /v1/auth/token, once: its answer has the next one."`
	RefreshExpiresIn int64  `json:"refresh_expires_in" example:"2592000" doc:"In seconds. Each refresh begins anew."`
	SessionID        int64  `json:"session_id" example:"7" doc:"It stays the same when the tokens are refreshed."`
}

type tokensOutput struct {
	Body Tokens
}

func newTokens(t auth.Tokens) *tokensOutput {
	return &tokensOutput{Body: Tokens{
		AccessToken: t.Access, TokenType: "Bearer", ExpiresIn: int64(t.ExpiresIn.Round(time.Second) / time.Second),
		RefreshToken: t.Refresh, RefreshExpiresIn: int64(t.RefreshExpiresIn.Round(time.Second) / time.Second), SessionID: t.SessionID,
	}}
}

type keyInput struct {
	IdempotencyKey string `header:"Idempotency-Key" example:"build-bot" doc:"A key is made once with it. Made again, it is the same one, with another secret: the one before is good for nothing then."`
	Body           struct {
		_         struct{}   `additionalProperties:"true"`
		Name      string     `json:"name" example:"build bot" doc:"Up to 64 characters, for oneself."`
		Scopes    []string   `json:"scopes" example:"[\"read\",\"write\"]" doc:"At least one of read (to look), write (to change, but for the account itself) and admin (to administrate, if one may)."`
		ExpiresAt *time.Time `json:"expires_at,omitempty" example:"2030-01-01T00:00:00Z" doc:"Within ten years. Default: in 365 days."`
	}
}

// Key is a key for a program.
type Key struct {
	ID        int64     `json:"id" example:"8" doc:"That of its session."`
	Name      string    `json:"name" example:"build bot"`
	Scopes    []string  `json:"scopes" nullable:"false" example:"[\"read\",\"write\"]"`
	Key       string    `json:"key" example:"cmsg_key_…" doc:"The secret itself, for the header Authorization or X-API-Key. It is told once, and stored nowhere."`
	CreatedAt timestamp `json:"created_at"`
	ExpiresAt timestamp `json:"expires_at"`
}

type keyOutput struct {
	Body Key
}

func (a *API) registerTokens() {
	issue := a.operation(http.MethodPost, "/v1/auth/token", "issue-token",
		"Sign in for tokens, or refresh them", 400, 401, 403, 413, 429)
	issue.Tags = []string{"auth"}
	issue.Description = "A refresh token is good for one answer, whose refresh token is the next. One that is shown again, after its answer or at the same time, has been stolen, as far as anybody can tell: the session ends, with all its tokens. An idempotency key tells a lost answer from that."
	register(a, issue, a.issueToken)

	byBasic := a.operation(http.MethodGet, "/v1/auth/token", "issue-token-by-basic",
		"Sign in for tokens with a username and password in the header Authorization", 401, 403, 429)
	byBasic.Tags = []string{"auth"}
	byBasic.Security = []map[string][]string{{"basic": {}}}
	byBasic.Middlewares = huma.Middlewares{a.fromOwnSite, noteRequest}
	register(a, byBasic, a.issueTokenByBasic)

	keys := a.signedIn(a.operation(http.MethodPost, "/v1/me/keys", "create-key",
		"Make a key for a program", 400, 413))
	keys.Tags = []string{"auth"}
	register(a, keys, a.createKey)
}

func (a *API) issueToken(ctx context.Context, in *credentialInput) (*tokensOutput, error) {
	b := in.Body
	var tokens auth.Tokens
	var err error
	switch {
	case b.RefreshToken != "" && b.Username+b.Password == "":
		tokens, err = a.auth.Refresh(ctx, b.RefreshToken, in.IdempotencyKey)
	case b.RefreshToken == "" && b.Username != "":
		tokens, err = a.auth.SignIn(ctx, b.Username, b.Password)
	default:
		err = &Problem{
			Status: http.StatusBadRequest, Code: "credentials_missing",
			Detail: "Either username and password, or refresh_token alone, says who you are.",
		}
	}
	if err != nil {
		return nil, err
	}
	return newTokens(tokens), nil
}

func (a *API) issueTokenByBasic(ctx context.Context, _ *struct{}) (*tokensOutput, error) {
	tokens, err := a.auth.SignInBasic(ctx, requestOf(ctx))
	if refusal := chat.AsError(err); refusal != nil && refusal.Kind == chat.Unauthenticated {
		p := a.problem(ctx, err)
		p.challenges = []string{basicChallenge} // nothing else is taken
		return nil, p
	}
	if err != nil {
		return nil, err
	}
	return newTokens(tokens), nil
}

// fromOwnSite refuses a request of another site's page that would else only read: a
// browser may have the credentials at hand.
func (a *API) fromOwnSite(ctx huma.Context, next func(huma.Context)) {
	r, _ := humago.Unwrap(ctx)
	if !sameSite(r) {
		a.writeHumaError(ctx, errCrossSite)
		return
	}
	next(ctx)
}

type requestKey struct{}

// noteRequest keeps the request itself, for who reads a header that is none of the
// document's.
func noteRequest(ctx huma.Context, next func(huma.Context)) {
	r, _ := humago.Unwrap(ctx)
	next(huma.WithValue(ctx, requestKey{}, r))
}

func requestOf(ctx context.Context) *http.Request { return ctx.Value(requestKey{}).(*http.Request) }

func (a *API) createKey(ctx context.Context, in *keyInput) (*keyOutput, error) {
	key, err := a.auth.CreateKey(ctx, callerOf(ctx), auth.NewKey{
		Name: in.Body.Name, Scopes: in.Body.Scopes, ExpiresAt: in.Body.ExpiresAt, Idempotency: in.IdempotencyKey,
	})
	if err != nil {
		return nil, err
	}
	return &keyOutput{Body: Key{
		ID: key.ID, Name: key.Name, Scopes: key.Scopes, Key: key.Key,
		CreatedAt: timestamp(key.CreatedAt), ExpiresAt: timestamp(key.ExpiresAt),
	}}, nil
}
