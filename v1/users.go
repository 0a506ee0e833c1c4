package v1

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/chat"
)

// User is an account as others see it.
type User struct {
	ID          int64     `json:"id" example:"1"`
	Username    string    `json:"username" example:"alice"`
	DisplayName string    `json:"display_name,omitempty" example:"Alice Liddell"`
	About       string    `json:"about,omitempty" example:"Down the rabbit hole."`
	CreatedAt   timestamp `json:"created_at"`
}

func newUser(u chat.User) User {
	return User{
		ID: u.ID, Username: u.Username, DisplayName: u.DisplayName, About: u.About, CreatedAt: timestamp(u.CreatedAt),
	}
}

// Me is an account as its owner sees it.
type Me struct {
	User
	Email         string `json:"email,omitempty" example:"alice@example.com" doc:"Nobody else sees it."`
	EmailVerified bool   `json:"email_verified,omitempty" example:"true" doc:"One has shown to read what is sent there."`
	PendingEmail  string `json:"pending_email,omitempty" example:"alice@example.org" doc:"It takes the place of email when it has been verified."`
	Locale        string `json:"locale,omitempty" example:"en-GB" doc:"A language tag (BCP 47)."`
	Admin         bool   `json:"admin,omitempty" example:"true" doc:"One is an administrator of this server."`
	Presence      string `json:"presence" enum:"visible,hidden" example:"visible" doc:"Whether those who share a chat with one are told when one is there."`
}

func newMe(u chat.User) Me {
	me := Me{
		User: newUser(u), Email: u.Email, EmailVerified: !u.EmailVerifiedAt.IsZero(), PendingEmail: u.PendingEmail,
		Locale: u.Locale, Admin: u.Admin, Presence: chat.PresenceVisible,
	}
	if u.PresenceHidden {
		me.Presence = chat.PresenceHidden
	}
	return me
}

// listUsersInput documents the parameters; the query itself is read in its
// order.
type listUsersInput struct {
	Query           string `query:"q" example:"ali" doc:"Words, all of which the username and the display name must have, each at least as the beginning of one; see GET /v1/search."`
	ID              string `query:"id" example:"1" doc:"Filters: what is not valid is ignored."`
	Username        string `query:"username" example:"alice"`
	UsernameLike    string `query:"username-like" example:"LIC" doc:"Contains it; ASCII letters of both cases are the same."`
	DisplayName     string `query:"display_name" example:"Alice Liddell"`
	DisplayNameLike string `query:"display_name-like" example:"liddell"`
	About           string `query:"about" example:"Down the rabbit hole."`
	AboutLike       string `query:"about-like" example:"rabbit"`
	CreatedAt       string `query:"created_at" example:"2006-01-02T15:04:05.000000Z"`
	OrderedBy       string `query:"ordered-by" example:"username" doc:"A field. It may be given several times, and so may ordered-by-desc; the first counts most. Default: id."`
	OrderedByDesc   string `query:"ordered-by-desc" example:"created_at"`
	Limit           string `query:"limit" example:"20" doc:"At most so many, up to 500. Default: 100."`
	Offset          string `query:"offset" example:"0" doc:"So many are left out first."`

	filter chat.Filter
}

// Resolve reads the query.
func (in *listUsersInput) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	in.filter = chat.Containing(parseFilter(u.RawQuery, map[string]chat.Field{
		"id":           {Column: chat.UserID, Type: chat.NumberField},
		"username":     {Column: chat.UserUsername},
		"display_name": {Column: chat.UserDisplayName},
		"about":        {Column: chat.UserAbout},
		"created_at":   {Column: chat.UserCreatedAt, Type: chat.TimeField},
	}), u.Query().Get("q"))
	return nil
}

type usersOutput struct {
	Body []User
}

type userInput struct {
	User string `path:"user" example:"bob" doc:"The username; or, if nobody has such a username, the id."`
}

type meOutput struct {
	Body Me
}

type updateMeInput struct {
	Body struct {
		_               struct{} `additionalProperties:"true"`
		Username        *string  `json:"username,omitempty" example:"alice"`
		DisplayName     *string  `json:"display_name,omitempty" example:"Alice Liddell" doc:"One line, at most 64 characters. Empty takes it away, here and below."`
		Email           *string  `json:"email,omitempty" example:"alice@example.com" doc:"Where the site sends no mails, and with current_password; elsewhere PUT /v1/me/email changes it."`
		CurrentPassword string   `json:"current_password,omitempty" example:"open sesame" doc:"One's password, with an email."`
		Locale          *string  `json:"locale,omitempty" example:"en-GB" doc:"A language tag (BCP 47)."`
		About           *string  `json:"about,omitempty" example:"Down the rabbit hole." doc:"At most 500 characters."`
		Presence        *string  `json:"presence,omitempty" enum:"visible,hidden" example:"hidden" doc:"Whether those who share a chat with one are told when one is there, and when one was."`
	}
}

type deleteMeOutput struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
	Body      struct{}
}

func (a *API) registerUsers() {
	tag := func(op huma.Operation) huma.Operation {
		op.Tags = []string{"users"}
		return a.signedIn(op)
	}
	register(a, tag(a.operation(http.MethodGet, "/v1/users", "list-users",
		"List accounts")), a.listUsers)
	register(a, tag(a.operation(http.MethodGet, "/v1/users/{user}", "get-user",
		"Look at an account", 404)), a.getUser)
	register(a, tag(a.operation(http.MethodGet, "/v1/me", "get-me",
		"Look at one's own account")), a.getMe)
	register(a, tag(a.operation(http.MethodPatch, "/v1/me", "update-me",
		"Change one's own account: what is given", 400, 413, 429)), a.updateMe)
	register(a, tag(a.operation(http.MethodDelete, "/v1/me", "delete-me",
		"Delete one's own account, for good; the messages stay, of a deleted user", 400)), a.deleteMe)
}

func (a *API) listUsers(ctx context.Context, in *listUsersInput) (*usersOutput, error) {
	users, err := a.chat.Users(ctx, callerOf(ctx), in.filter)
	if err != nil {
		return nil, err
	}
	out := &usersOutput{Body: make([]User, 0, len(users))}
	for _, u := range users {
		out.Body = append(out.Body, newUser(u))
	}
	return out, nil
}

func (a *API) getUser(ctx context.Context, in *userInput) (*userOutput, error) {
	user, err := a.chat.User(ctx, in.User)
	if err != nil {
		return nil, err
	}
	return &userOutput{Body: newUser(user)}, nil
}

func (a *API) getMe(ctx context.Context, _ *struct{}) (*meOutput, error) {
	user, err := a.chat.Me(ctx, callerOf(ctx))
	if err != nil {
		return nil, err
	}
	return &meOutput{Body: newMe(user)}, nil
}

func (a *API) updateMe(ctx context.Context, in *updateMeInput) (*meOutput, error) {
	b := in.Body
	user, err := a.auth.UpdateMe(ctx, callerOf(ctx), chat.Profile{
		Username: b.Username, DisplayName: b.DisplayName, Email: b.Email, Locale: b.Locale, About: b.About,
		Presence: b.Presence,
	}, b.CurrentPassword)
	if err != nil {
		return nil, err
	}
	return &meOutput{Body: newMe(user)}, nil
}

func (a *API) deleteMe(ctx context.Context, _ *struct{}) (*deleteMeOutput, error) {
	if err := a.chat.DeleteMe(ctx, callerOf(ctx)); err != nil {
		return nil, err
	}
	return &deleteMeOutput{SetCookie: *a.auth.Cookies().Clear(auth.RequestOf(ctx).Secure)}, nil
}
