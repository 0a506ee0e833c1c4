package chat

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/caddymsg/messaging/store"
)

// Admins look after accounts and groups. They are in no chat for that: what
// others write they can't read.

// Operator is the caller on behalf of whoever has the machine itself, through
// the configuration or a command; how says through which.
func Operator(how string) Caller { return Caller{Username: how, Admin: true} }

// RequireAdmin returns Forbidden unless the caller is an admin.
func RequireAdmin(caller Caller) error {
	if !caller.Admin {
		return &Error{Kind: Forbidden, Code: "admin_required", Message: "Only an administrator of this server may do that."}
	}
	return nil
}

// NewAccount is an account that an admin makes for somebody.
type NewAccount struct {
	Profile
	PasswordHash string
	Admin        bool
}

// CreateAccount makes an account, once for an idempotency key. What its password
// must be like is for package auth. It returns Forbidden to who is no admin,
// Invalid for a field that won't do, and Conflict for a username that is taken.
func (s *Service) CreateAccount(ctx context.Context, caller Caller, a NewAccount, key string) (User, error) {
	if err := RequireAdmin(caller); err != nil {
		return User{}, err
	}
	if a.Username == nil {
		a.Username = new(string) // which will be told
	}
	fields, err := a.prepare()
	if err != nil {
		return User{}, err
	}
	text := func(field *string) string {
		if field == nil {
			return ""
		}
		return *field
	}
	var user User
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		user = User{
			Username: *fields.Username, UsernameKey: *fields.UsernameKey, PasswordHash: a.PasswordHash,
			DisplayName: text(fields.DisplayName), Email: text(fields.Email), Locale: text(fields.Locale),
			About: text(fields.About), Admin: a.Admin, CreatedAt: s.now(),
			PresenceHidden: fields.PresenceHidden != nil && *fields.PresenceHidden,
		}
		return Once(tx, caller, key, "create-account", user.CreatedAt, &user, func() error {
			if err := createUser(tx, &user); err != nil {
				return err
			}
			actions := []string{AdminUserCreated}
			if user.Admin {
				actions = append(actions, AdminGranted)
			}
			return s.auditAll(tx, caller, user.ID, actions)
		})
	})
	if err != nil {
		return User{}, err
	}
	return user, nil
}

func (s *Service) auditAll(tx *store.Tx, caller Caller, userID int64, actions []string) error {
	for _, action := range actions {
		if err := s.Audit(tx, caller, AuditEntry{Action: action, UserID: userID}); err != nil {
			return err
		}
	}
	return nil
}

// Accounts lists the accounts that a filter names, as admins see them. It returns
// Forbidden to others.
func (s *Service) Accounts(ctx context.Context, caller Caller, f Filter) ([]User, error) {
	if err := RequireAdmin(caller); err != nil {
		return nil, err
	}
	return s.users(ctx, f)
}

// Account finds an account by its id. It returns Forbidden to who is no admin,
// and NotFound if there is none, and if it has been deleted.
func (s *Service) Account(ctx context.Context, caller Caller, id int64) (User, error) {
	if err := RequireAdmin(caller); err != nil {
		return User{}, err
	}
	var user User
	err := s.store.ViewOne(ctx, func(tx *store.Tx) (err error) {
		user, err = findAccount(tx, id)
		return err
	})
	return user, err
}

// findAccount finds an account that has not been deleted.
func findAccount(tx *store.Tx, id int64) (User, error) {
	user, err := tx.FindUserByID(id)
	if err == nil && !user.DeletedAt.IsZero() {
		return User{}, errNoSuchUser("")
	}
	return user, refuse(err, store.ErrNotFound, errNoSuchUser(""))
}

// AccountChange is what an admin changes of an account. What is nil stays as it is.
type AccountChange struct {
	Profile
	PasswordHash *string
	Admin        *bool
	Deactivated  *bool
}

// UpdateAccount changes an account, all that is given or nothing. Another password
// ends all its sessions, and so does to deactivate it: then its owner may not sign
// in. It returns Forbidden to who is no admin, NotFound for the account, Invalid
// for a field that won't do, Conflict for a username that is taken, and Invalid to
// an admin who would lock themselves out, or change their own password or address.
func (s *Service) UpdateAccount(ctx context.Context, caller Caller, id int64, c AccountChange) (User, error) {
	if err := RequireAdmin(caller); err != nil {
		return User{}, err
	}
	change, err := c.prepare()
	if err != nil {
		return User{}, err
	}
	if id == caller.UserID && c.Admin != nil && !*c.Admin {
		return User{}, errSelf("admin")
	}
	if id == caller.UserID && c.Deactivated != nil && *c.Deactivated {
		return User{}, errSelf("deactivated")
	}
	// One's own are changed with the old password, which a stolen session has not, nor
	// a key.
	if id == caller.UserID && c.PasswordHash != nil {
		return User{}, ErrOwnPassword()
	}
	if id == caller.UserID && c.Email != nil {
		return User{}, invalid("email", "cannot_change_self", "Change your own address at /v1/me/email, or where no mails are sent at /v1/me.")
	}
	change.PasswordHash, change.Admin = c.PasswordHash, c.Admin
	var user User
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		if c.Admin != nil && !*c.Admin || c.Deactivated != nil && *c.Deactivated {
			if err := notLastAdmin(tx, id); err != nil {
				return err
			}
		}
		before, err := tx.LockUser(id)
		if err != nil {
			return refuse(err, store.ErrNotFound, errNoSuchUser(""))
		}
		now := s.now()
		if c.Deactivated != nil {
			change.DeactivatedAt = &time.Time{}
			if *c.Deactivated {
				*change.DeactivatedAt = now
			}
		}
		if user, err = changeUser(tx, before, change); err != nil {
			return err
		}
		// Its row is locked: who signs in does so before this, or after.
		deactivated := before.DeactivatedAt.IsZero() && !user.DeactivatedAt.IsZero()
		if c.PasswordHash != nil || deactivated {
			if err := EndSessionsOf(tx, id, 0, caller.UserID, now); err != nil {
				return err
			}
		}
		if err := appendAccount(tx, before, user, caller.UserID, now); err != nil {
			return err
		}
		return s.auditChange(tx, caller, before, user, c.PasswordHash != nil)
	})
	if err != nil {
		return User{}, err
	}
	return user, nil
}

// notLastAdmin returns Conflict if a user is the only admin there is.
func notLastAdmin(tx *store.Tx, userID int64) error {
	admins, err := tx.LockAdmins()
	if err == nil && len(admins) == 1 && admins[0] == userID {
		err = &Error{
			Kind: Conflict, Code: "last_admin",
			Message: "There is no other administrator. Make somebody else one first.",
		}
	}
	return err
}

// ErrOwnPassword refuses to change an admin's own password without the old one.
func ErrOwnPassword() *Error {
	return invalid("password", "cannot_change_self", "Change your own password at /v1/me/password.")
}

func errSelf(field string) *Error {
	return invalid(field, "cannot_change_self", "Another administrator has to do that: it would lock you out.")
}

// auditChange tells what has become of an account: of its fields the names alone.
func (s *Service) auditChange(tx *store.Tx, caller Caller, before, after User, password bool) error {
	var fields []string
	for _, f := range []struct {
		name    string
		changed bool
	}{
		{"username", before.Username != after.Username},
		{"display_name", before.DisplayName != after.DisplayName},
		{"email", before.Email != after.Email},
		{"locale", before.Locale != after.Locale},
		{"about", before.About != after.About},
	} {
		if f.changed {
			fields = append(fields, f.name)
		}
	}
	if len(fields) > 0 {
		e := AuditEntry{Action: AdminUserUpdated, UserID: after.ID, Detail: strings.Join(fields, ", ")}
		if err := s.Audit(tx, caller, e); err != nil {
			return err
		}
	}
	var actions []string
	if password {
		actions = append(actions, AdminPasswordReset)
	}
	switch was, is := before.DeactivatedAt.IsZero(), after.DeactivatedAt.IsZero(); {
	case was && !is:
		actions = append(actions, AdminUserDeactivated)
	case !was && is:
		actions = append(actions, AdminUserReactivated)
	}
	switch {
	case !before.Admin && after.Admin:
		actions = append(actions, AdminGranted)
	case before.Admin && !after.Admin:
		actions = append(actions, AdminRevoked)
	}
	return s.auditAll(tx, caller, after.ID, actions)
}

// GrantAdmin makes admins of the named accounts, and returns those names that
// there is no account of. Who is one already stays it. It returns Forbidden to who
// is no admin.
func (s *Service) GrantAdmin(ctx context.Context, caller Caller, usernames []string) (missing []string, err error) {
	if err := RequireAdmin(caller); err != nil {
		return nil, err
	}
	var ids []int64
	err = s.store.View(ctx, func(tx *store.Tx) error {
		for _, name := range usernames {
			user, err := tx.FindUserByKey(UsernameKey(name))
			switch {
			case errors.Is(err, store.ErrNotFound):
				missing = append(missing, name)
			case err != nil:
				return err
			case !user.Admin:
				ids = append(ids, user.ID)
			}
		}
		return nil
	})
	yes := true
	for _, id := range ids {
		if err == nil {
			_, err = s.UpdateAccount(ctx, caller, id, AccountChange{Admin: &yes})
		}
	}
	return missing, err
}

// DeleteAccount deletes an account, as [Service.DeleteMe] does. It returns
// Forbidden to who is no admin, NotFound for the account, and Invalid for one's own.
func (s *Service) DeleteAccount(ctx context.Context, caller Caller, id int64) error {
	if err := RequireAdmin(caller); err != nil {
		return err
	}
	if id == caller.UserID {
		return errSelf("")
	}
	return s.deleteAccount(ctx, id, func(tx *store.Tx) error {
		if _, err := findAccount(tx, id); err != nil {
			return err
		}
		if err := deleteAccount(tx, id, caller.UserID, s.now()); err != nil {
			return refuse(err, store.ErrNotFound, errNoSuchUser("")) // deleted meanwhile
		}
		return s.Audit(tx, caller, AuditEntry{Action: AdminUserDeleted, UserID: id})
	})
}

// Session is a sign-in of an account.
type Session = store.Session

// Sessions lists the sessions of an account, by id. It returns Forbidden to who is
// no admin, and NotFound for the account.
func (s *Service) Sessions(ctx context.Context, caller Caller, id int64, limit, offset int) (sessions []Session, err error) {
	if err := RequireAdmin(caller); err != nil {
		return nil, err
	}
	err = s.store.View(ctx, func(tx *store.Tx) error {
		if _, err := findAccount(tx, id); err != nil {
			return err
		}
		sessions, err = tx.ListSessionsOf(id, "", s.now(), limit, offset)
		return err
	})
	return sessions, err
}

// EndSessions ends all sessions of an account at once. It returns Forbidden to who
// is no admin, and NotFound for the account.
func (s *Service) EndSessions(ctx context.Context, caller Caller, id int64) error {
	return s.endSessions(ctx, caller, id, func(tx *store.Tx) error {
		return EndSessionsOf(tx, id, 0, caller.UserID, s.now())
	})
}

// EndSession ends a session of an account at once. It returns Forbidden to who is
// no admin, and NotFound for the account and the session.
func (s *Service) EndSession(ctx context.Context, caller Caller, id, sessionID int64) error {
	return s.endSessions(ctx, caller, id, func(tx *store.Tx) error {
		if err := tx.DeleteSession(id, sessionID); err != nil {
			return refuse(err, store.ErrNotFound, &Error{
				Kind: NotFound, Code: "session_not_found", Message: "This user has no such session.",
			})
		}
		return AppendSessionEnded(tx, sessionID, id, caller.UserID, s.now())
	})
}

func (s *Service) endSessions(ctx context.Context, caller Caller, id int64, end func(*store.Tx) error) error {
	if err := RequireAdmin(caller); err != nil {
		return err
	}
	return s.store.Update(ctx, func(tx *store.Tx) error {
		// Locked: who signs in meanwhile does so before this, and is signed out, or after.
		if _, err := tx.LockUser(id); err != nil {
			return refuse(err, store.ErrNotFound, errNoSuchUser(""))
		}
		if err := end(tx); err != nil {
			return err
		}
		return s.Audit(tx, caller, AuditEntry{Action: AdminSessionsEnded, UserID: id})
	})
}

// AppendSessionEnded says in the log that a session has been ended, by an actor, in
// the Update that does so: connections that it was used for are closed then, on all
// nodes.
func AppendSessionEnded(tx *store.Tx, sessionID, userID, actor int64, at time.Time) error {
	return tx.AppendEvent(store.Event{
		Type: store.SessionEnded, ActorID: actor, UserID: userID, Data: eventData(map[string]int64{"session_id": sessionID}), At: at,
	})
}

// EndSessionsOf ends all sessions of a user but one, or all if that is 0, and says so in
// the log if there were any, by an actor.
func EndSessionsOf(tx *store.Tx, userID, but, actor int64, at time.Time) error {
	ended, err := tx.DeleteSessionsOf(userID, but)
	if err != nil || len(ended) == 0 {
		return err
	}
	e := store.Event{Type: store.SessionEnded, ActorID: actor, UserID: userID, At: at}
	if but != 0 {
		e.Data = eventData(map[string]int64{"all_but": but})
	}
	return tx.AppendEvent(e)
}

// GroupSummary is what an admin sees of a group.
type GroupSummary = store.GroupSummary

// AllGroups lists all groups, by id. It returns Forbidden to who is no admin.
func (s *Service) AllGroups(ctx context.Context, caller Caller, limit, offset int) (groups []GroupSummary, err error) {
	if err := RequireAdmin(caller); err != nil {
		return nil, err
	}
	err = s.store.ViewOne(ctx, func(tx *store.Tx) error {
		groups, err = tx.ListAllGroups(limit, offset)
		return err
	})
	return groups, err
}

// DeleteAnyGroup deletes a group with all that was said in it. It returns
// Forbidden to who is no admin, and NotFound for what is no group.
func (s *Service) DeleteAnyGroup(ctx context.Context, caller Caller, chatID int64) error {
	if err := RequireAdmin(caller); err != nil {
		return err
	}
	return s.store.Update(ctx, func(tx *store.Tx) error {
		noGroup := errNoSuchGroup()
		if err := tx.LockGroup(chatID); err != nil {
			return refuse(err, store.ErrNotFound, noGroup)
		}
		c, err := tx.FindChatByID(chatID)
		if err != nil {
			return refuse(err, store.ErrNotFound, noGroup)
		}
		if c.Kind != store.GroupChat { // SQLite, where nothing is to be locked, has not looked
			return noGroup
		}
		if err := deleteChat(tx, c, caller.UserID, s.now()); err != nil {
			return err
		}
		return s.Audit(tx, caller, AuditEntry{Action: AdminGroupDeleted, ChatID: chatID})
	})
}
