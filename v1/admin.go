package v1

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/caddymsg/messaging/chat"
)

// Account is an account as an admin sees it.
type Account struct {
	User
	Email         string     `json:"email,omitempty" example:"alice@example.com"`
	EmailVerified bool       `json:"email_verified,omitempty" example:"true" doc:"Its owner has shown to read what is sent there."`
	Locale        string     `json:"locale,omitempty" example:"en-GB"`
	Admin         bool       `json:"admin" example:"false" doc:"An administrator of this server."`
	DeactivatedAt *timestamp `json:"deactivated_at,omitempty" doc:"Since when its owner may not sign in."`
}

func newAccount(u chat.User) Account {
	a := Account{User: newUser(u), Email: u.Email, EmailVerified: !u.EmailVerifiedAt.IsZero(), Locale: u.Locale, Admin: u.Admin}
	if !u.DeactivatedAt.IsZero() {
		at := timestamp(u.DeactivatedAt)
		a.DeactivatedAt = &at
	}
	return a
}

// listAccountsInput documents the parameters; the query itself is read in its
// order.
type listAccountsInput struct {
	ID              string `query:"id" example:"1" doc:"Filters: what is not valid is ignored."`
	Username        string `query:"username" example:"alice" doc:"Just that."`
	UsernameLike    string `query:"username-like" example:"ali" doc:"Contains it; ASCII letters of both cases are the same."`
	DisplayName     string `query:"display_name" example:"Alice Liddell" doc:"Just that."`
	DisplayNameLike string `query:"display_name-like" example:"liddell" doc:"Contains it, as above."`
	Email           string `query:"email" example:"alice@example.com" doc:"Just that."`
	EmailLike       string `query:"email-like" example:"@example.com" doc:"Contains it, as above."`
	Admin           string `query:"admin" example:"true" doc:"true: administrators alone; false: all others."`
	Deactivated     string `query:"deactivated" example:"false" doc:"true: deactivated accounts alone; false: all others."`
	CreatedAt       string `query:"created_at" example:"2026-11-21T05:02:31.003831Z" doc:"Just that moment."`
	OrderedBy       string `query:"ordered-by" example:"username" doc:"A field. It may be given several times, and so may ordered-by-desc; the first counts most. Default: id."`
	OrderedByDesc   string `query:"ordered-by-desc" example:"created_at" doc:"As ordered-by, the other way round."`
	Limit           string `query:"limit" example:"20" doc:"At most so many, up to 500. Default: 100."`
	Offset          string `query:"offset" example:"0" doc:"So many are left out first."`

	filter chat.Filter
}

// Resolve reads the query.
func (in *listAccountsInput) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	in.filter = parseFilter(u.RawQuery, map[string]chat.Field{
		"id":           {Column: chat.UserID, Type: chat.NumberField},
		"username":     {Column: chat.UserUsername},
		"display_name": {Column: chat.UserDisplayName},
		"email":        {Column: chat.UserEmail},
		"admin":        {Column: chat.UserAdmin, Type: chat.BoolField},
		"deactivated":  {Column: chat.UserDeactivated, Type: chat.BoolField},
		"created_at":   {Column: chat.UserCreatedAt, Type: chat.TimeField},
	})
	return nil
}

type accountInput struct {
	ID string `path:"id" example:"2" doc:"The user's id: digits alone."`
}

type createAccountInput struct {
	IdempotencyKey string `header:"Idempotency-Key" example:"new-dave" doc:"The account is made once, and asking again answers the first one."`
	Body           struct {
		_           struct{} `additionalProperties:"true"`
		Username    string   `json:"username" example:"dave" doc:"Letters, digits and visible ASCII characters but the slash; at most 64. Upper and lower case are the same name."`
		Password    string   `json:"password" example:"correct horse battery" doc:"At most 72 bytes. None of the most common ones, nor the username."`
		Admin       bool     `json:"admin,omitempty" example:"false" doc:"An administrator of this server."`
		DisplayName *string  `json:"display_name,omitempty" example:"Dave Bowman" doc:"One line, at most 64 characters."`
		Email       *string  `json:"email,omitempty" example:"dave@example.com" doc:"An address."`
		Locale      *string  `json:"locale,omitempty" example:"en-GB" doc:"A language tag (BCP 47)."`
		About       *string  `json:"about,omitempty" example:"Here for the tea." doc:"At most 500 characters."`
	}
}

type updateAccountInput struct {
	ID   string `path:"id" example:"2" doc:"The user's id: digits alone."`
	Body struct {
		_           struct{} `additionalProperties:"true"`
		Username    *string  `json:"username,omitempty" example:"bob" doc:"Another name; the old one is free again."`
		DisplayName *string  `json:"display_name,omitempty" example:"Bob" doc:"One line, at most 64 characters. Empty takes it away, here and below."`
		Email       *string  `json:"email,omitempty" example:"bob@example.com" doc:"An address."`
		Locale      *string  `json:"locale,omitempty" example:"en-GB" doc:"A language tag (BCP 47)."`
		About       *string  `json:"about,omitempty" example:"Here for the tea." doc:"At most 500 characters."`
		Password    *string  `json:"password,omitempty" example:"battery staple" doc:"Another password, of at most 72 bytes. It ends all sessions of the account."`
		Admin       *bool    `json:"admin,omitempty" example:"false" doc:"An administrator of this server. Nobody can take it from themselves."`
		Deactivated *bool    `json:"deactivated,omitempty" example:"false" doc:"true ends all sessions of the account, and its owner may not sign in; false lets them again."`
	}
}

type accountOutput struct {
	Body Account
}

type accountsOutput struct {
	Body []Account
}

type sessionsInput struct {
	ID string `path:"id" example:"2" doc:"The user's id: digits alone."`
	OffsetQuery
}

type sessionInput struct {
	ID        string `path:"id" example:"2" doc:"The user's id: digits alone."`
	SessionID string `path:"session_id" example:"2" doc:"The session's id: digits alone."`
}

// GroupSummary is a group as an admin sees it.
type GroupSummary struct {
	ID               int64     `json:"id" example:"1"`
	Title            string    `json:"title,omitempty" example:"Weekend"`
	Visibility       string    `json:"visibility" enum:"public,private" example:"private"`
	ParticipantCount int       `json:"participant_count" example:"2"`
	CreatedAt        timestamp `json:"created_at"`
	ActiveAt         timestamp `json:"active_at" doc:"When the last message was sent; if there is none, when the group was made."`
}

type listAllGroupsInput struct {
	OffsetQuery
}

type groupSummariesOutput struct {
	Body []GroupSummary
}

type anyGroupInput struct {
	ID string `path:"id" example:"1" doc:"The group's id: digits alone."`
}

func (a *API) registerAdmin() {
	op := func(method, path, id, summary string, errors ...int) huma.Operation {
		return a.forAdmins(a.operation(method, "/v1/admin"+path, id, summary, errors...))
	}
	register(a, op(http.MethodGet, "/users", "admin-list-users",
		"List accounts, with what only administrators see"), a.listAccounts)
	register(a, op(http.MethodPost, "/users", "admin-create-user",
		"Make an account for somebody, also where registration is closed", 400, 413), a.createAccount)
	register(a, op(http.MethodGet, "/users/{id}", "admin-get-user",
		"Look at an account", 404), a.getAccount)
	register(a, op(http.MethodPatch, "/users/{id}", "admin-update-user",
		"Change an account: what is given", 400, 404, 413), a.updateAccount)
	register(a, op(http.MethodDelete, "/users/{id}", "admin-delete-user",
		"Delete an account, for good; the messages stay, of a deleted user", 400, 404), a.deleteAccount)
	register(a, op(http.MethodGet, "/users/{id}/sessions", "admin-list-sessions",
		"List where the owner of an account is signed in", 400, 404), a.listSessions)
	register(a, op(http.MethodDelete, "/users/{id}/sessions", "admin-end-sessions",
		"Sign the owner of an account out everywhere", 404), a.endSessions)
	register(a, op(http.MethodDelete, "/users/{id}/sessions/{session_id}", "admin-end-session",
		"End a session of an account", 404), a.endSession)
	register(a, op(http.MethodGet, "/group_chat", "admin-list-groups",
		"List all groups, without what is said in them", 400), a.listAllGroups)
	register(a, op(http.MethodDelete, "/group_chat/{id}", "admin-delete-group",
		"Delete a group with all that was said in it", 404), a.deleteAnyGroup)
}

// forAdmins makes an operation one for administrators. Others hear that before
// anything about their input; the rules ask again.
func (a *API) forAdmins(op huma.Operation) huma.Operation {
	op = a.signedIn(op)
	op.Tags = []string{"admin"}
	op.Responses["403"] = a.problemResponse(http.StatusForbidden)
	op.Middlewares = append(op.Middlewares, func(ctx huma.Context, next func(huma.Context)) {
		if err := chat.RequireAdmin(callerOf(ctx.Context())); err != nil {
			a.writeHumaError(ctx, err)
			return
		}
		next(ctx)
	})
	return op
}

func (a *API) listAccounts(ctx context.Context, in *listAccountsInput) (*accountsOutput, error) {
	users, err := a.chat.Accounts(ctx, callerOf(ctx), in.filter)
	if err != nil {
		return nil, err
	}
	out := &accountsOutput{Body: make([]Account, 0, len(users))}
	for _, u := range users {
		out.Body = append(out.Body, newAccount(u))
	}
	return out, nil
}

func (a *API) createAccount(ctx context.Context, in *createAccountInput) (*accountOutput, error) {
	b := in.Body
	user, err := a.auth.CreateAccount(ctx, callerOf(ctx), chat.NewAccount{
		Profile: chat.Profile{
			Username: &b.Username, DisplayName: b.DisplayName, Email: b.Email, Locale: b.Locale, About: b.About,
		},
		Admin: b.Admin,
	}, b.Password, in.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	return &accountOutput{Body: newAccount(user)}, nil
}

func (a *API) getAccount(ctx context.Context, in *accountInput) (*accountOutput, error) {
	id, err := pathID(in.ID)
	if err != nil {
		return nil, err
	}
	user, err := a.chat.Account(ctx, callerOf(ctx), id)
	if err != nil {
		return nil, err
	}
	return &accountOutput{Body: newAccount(user)}, nil
}

func (a *API) updateAccount(ctx context.Context, in *updateAccountInput) (*accountOutput, error) {
	id, err := pathID(in.ID)
	if err != nil {
		return nil, err
	}
	b := in.Body
	user, err := a.auth.UpdateAccount(ctx, callerOf(ctx), id, chat.AccountChange{
		Profile: chat.Profile{
			Username: b.Username, DisplayName: b.DisplayName, Email: b.Email, Locale: b.Locale, About: b.About,
		},
		Admin: b.Admin, Deactivated: b.Deactivated,
	}, b.Password)
	if err != nil {
		return nil, err
	}
	return &accountOutput{Body: newAccount(user)}, nil
}

func (a *API) deleteAccount(ctx context.Context, in *accountInput) (*empty, error) {
	id, err := pathID(in.ID)
	if err != nil {
		return nil, err
	}
	return &empty{}, a.chat.DeleteAccount(ctx, callerOf(ctx), id)
}

func (a *API) listSessions(ctx context.Context, in *sessionsInput) (*sessionsOutput, error) {
	id, err := pathID(in.ID)
	if err != nil {
		return nil, err
	}
	sessions, err := a.chat.Sessions(ctx, callerOf(ctx), id, in.Limit, in.Offset)
	if err != nil {
		return nil, err
	}
	return newSessions(ctx, sessions), nil
}

func (a *API) endSessions(ctx context.Context, in *accountInput) (*empty, error) {
	id, err := pathID(in.ID)
	if err != nil {
		return nil, err
	}
	return &empty{}, a.chat.EndSessions(ctx, callerOf(ctx), id)
}

func (a *API) endSession(ctx context.Context, in *sessionInput) (*empty, error) {
	id, err := pathID(in.ID)
	if err != nil {
		return nil, err
	}
	session, err := pathID(in.SessionID)
	if err != nil {
		return nil, err
	}
	return &empty{}, a.chat.EndSession(ctx, callerOf(ctx), id, session)
}

func (a *API) listAllGroups(ctx context.Context, in *listAllGroupsInput) (*groupSummariesOutput, error) {
	groups, err := a.chat.AllGroups(ctx, callerOf(ctx), in.Limit, in.Offset)
	if err != nil {
		return nil, err
	}
	out := &groupSummariesOutput{Body: make([]GroupSummary, 0, len(groups))}
	for _, g := range groups {
		out.Body = append(out.Body, GroupSummary{
			ID: g.ID, Title: g.Title, Visibility: g.Visibility, ParticipantCount: g.ParticipantCount,
			CreatedAt: timestamp(g.CreatedAt), ActiveAt: timestamp(g.ActiveAt),
		})
	}
	return out, nil
}

func (a *API) deleteAnyGroup(ctx context.Context, in *anyGroupInput) (*empty, error) {
	id, err := pathID(in.ID)
	if err != nil {
		return nil, err
	}
	return &empty{}, a.chat.DeleteAnyGroup(ctx, callerOf(ctx), id)
}
