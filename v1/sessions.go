package v1

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/chat"
)

// Session is a sign-in of an account, of whatever kind.
type Session struct {
	ID         int64     `json:"id" example:"1"`
	Kind       string    `json:"kind" enum:"cookie,token,key,basic,trusted" example:"cookie" doc:"A browser; a program with access and refresh tokens; an API key; username and password with each request; whoever names the user, on a site that believes that."`
	Name       string    `json:"name,omitempty" example:"Backup" doc:"Of a key."`
	Scopes     []string  `json:"scopes,omitempty" example:"read,write" doc:"Of a key. Other kinds may be used for everything."`
	Device     string    `json:"device" example:"Firefox on Linux" doc:"What user_agent seems to be; empty if that tells nothing."`
	UserAgent  string    `json:"user_agent,omitempty" example:"curl/8.17.0" doc:"What the client called itself when the session was last used."`
	Address    string    `json:"address,omitempty" example:"192.0.2.7" doc:"From which the session was last used."`
	CreatedAt  timestamp `json:"created_at"`
	LastUsedAt timestamp `json:"last_used_at" doc:"To five minutes."`
	ExpiresAt  timestamp `json:"expires_at" doc:"When it ends: a key then, and others if they are not used until then."`
	Current    bool      `json:"current" example:"false" doc:"It is the one that this was asked with."`
}

func newSession(ctx context.Context, s chat.Session) Session {
	return Session{
		ID: s.ID, Kind: s.Kind, Name: s.Name, Scopes: strings.Fields(s.Scopes),
		Device: auth.DeviceName(s.UserAgent), UserAgent: s.UserAgent, Address: s.Address,
		CreatedAt: timestamp(s.CreatedAt), LastUsedAt: timestamp(s.UsedAt), ExpiresAt: timestamp(s.ExpiresAt),
		Current: s.ID == callerOf(ctx).SessionID,
	}
}

type sessionsOutput struct {
	Body []Session
}

func newSessions(ctx context.Context, sessions []chat.Session) *sessionsOutput {
	out := &sessionsOutput{Body: make([]Session, 0, len(sessions))}
	for _, s := range sessions {
		out.Body = append(out.Body, newSession(ctx, s))
	}
	return out
}

type listMySessionsInput struct {
	Kind string `query:"kind" enum:"cookie,token,key,basic,trusted" example:"cookie" doc:"Only sessions of this kind."`
	OffsetQuery
}

type mySessionInput struct {
	SessionID string `path:"session_id" example:"1" doc:"The session's id: digits alone."`
}

type endMySessionsInput struct {
	Others string `query:"others" enum:"true,false" example:"true" doc:"true keeps the session that this is asked with."`
}

type mySessionOutput struct {
	Body Session
}

type endedOutput struct {
	SetCookie []http.Cookie `header:"Set-Cookie"`
	Body      struct{}
}

func (a *API) registerSessions() {
	op := func(method, path, id, summary string, errors ...int) huma.Operation {
		op := a.signedIn(a.operation(method, "/v1/me/sessions"+path, id, summary, errors...))
		op.Tags = []string{"sessions"}
		return op
	}
	register(a, op(http.MethodGet, "", "list-my-sessions",
		"List where one is signed in, and one's keys", 400, 403), a.listMySessions)
	register(a, op(http.MethodDelete, "", "end-my-sessions",
		"Sign out everywhere; keys end, too", 400), a.endMySessions)
	register(a, op(http.MethodGet, "/{session_id}", "get-my-session",
		"Look at a session of one's own", 403, 404), a.getMySession)
	register(a, op(http.MethodDelete, "/{session_id}", "end-my-session",
		"End a session of one's own, or revoke a key", 404), a.endMySession)
}

func (a *API) listMySessions(ctx context.Context, in *listMySessionsInput) (*sessionsOutput, error) {
	sessions, err := a.auth.Sessions(ctx, callerOf(ctx), in.Kind, in.Limit, in.Offset)
	if err != nil {
		return nil, err
	}
	return newSessions(ctx, sessions), nil
}

func (a *API) endMySessions(ctx context.Context, in *endMySessionsInput) (*endedOutput, error) {
	return a.ended(ctx)(a.auth.EndSessions(ctx, callerOf(ctx), in.Others == "true"))
}

func (a *API) getMySession(ctx context.Context, in *mySessionInput) (*mySessionOutput, error) {
	id, err := pathID(in.SessionID)
	if err != nil {
		return nil, err
	}
	session, err := a.auth.Session(ctx, callerOf(ctx), id)
	if err != nil {
		return nil, err
	}
	return &mySessionOutput{Body: newSession(ctx, session)}, nil
}

func (a *API) endMySession(ctx context.Context, in *mySessionInput) (*endedOutput, error) {
	id, err := pathID(in.SessionID)
	if err != nil {
		return nil, err
	}
	return a.ended(ctx)(a.auth.EndSession(ctx, callerOf(ctx), id))
}

// ended answers when sessions have ended: whether that of the cookie is among them.
func (a *API) ended(ctx context.Context) func(cookie bool, err error) (*endedOutput, error) {
	return func(cookie bool, err error) (*endedOutput, error) {
		out := &endedOutput{}
		if cookie {
			out.SetCookie = []http.Cookie{*a.auth.Cookies().Clear(auth.RequestOf(ctx).Secure)}
		}
		return out, err
	}
}
