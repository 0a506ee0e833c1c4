package chat

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"golang.org/x/text/secure/bidirule"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"

	"github.com/caddymsg/messaging/store"
)

// MaxUsernameLength is the longest username, in characters.
const MaxUsernameLength = 64

// PrepareUsername checks a username that somebody wants and returns it as it
// will be shown, and the key under which it is unique. A username is letters
// and digits of any script and the visible ASCII characters (PRECIS, RFC 8265)
// but the slash, which would end it in a path.
func PrepareUsername(typed string) (name, key string, err error) {
	if typed == "" {
		return "", "", invalid("username", "username_missing", "A username is required.")
	}
	name, err = precisUsername(typed)
	if err != nil || strings.Contains(name, "/") {
		return "", "", invalid("username", "username_invalid",
			"A username may hold letters, digits and visible ASCII characters but the slash; no spaces and no control characters.")
	}
	if name == "." || name == ".." {
		return "", "", invalid("username", "username_invalid", "A path can't hold this username.")
	}
	if utf8.RuneCountInString(name) > MaxUsernameLength {
		return "", "", invalid("username", "username_too_long",
			"A username has at most "+strconv.Itoa(MaxUsernameLength)+" characters.")
	}
	return name, UsernameKey(name), nil
}

// precisUsername is the profile UsernameCasePreserved of RFC 8265. The library's own asks
// every name beyond ASCII for what that RFC asks of those with letters that run from right
// to left: "Zoë_" would be none.
func precisUsername(typed string) (string, error) {
	name, err := usernames.String(typed)
	first, _ := utf8.DecodeRuneInString(name)
	if err == nil && (unicode.Is(unicode.M, first) || // it would be put on what stands before the name
		bidirule.DirectionString(name) == bidi.RightToLeft && !bidirule.ValidString(name)) {
		err = bidirule.ErrInvalid
	}
	return name, err
}

var usernames = precis.NewIdentifier(precis.FoldWidth, precis.Norm(norm.NFC))

// UsernameKey folds a username: names with the same key are the same name. A
// string that can't be a username folds to a key that nobody has.
func UsernameKey(typed string) string {
	prepared, err := precisUsername(typed)
	if err != nil {
		return ""
	}
	// Folding, where PRECIS only lowers: σ and ς, ß and SS are one name. Lowered
	// first, because this Fold turns Cherokee letters the other way.
	return norm.NFC.String(cases.Fold().String(cases.Lower(language.Und).String(prepared)))
}

// findUser finds the user that has a username. field is where the input had it.
func findUser(tx *store.Tx, username, field string) (User, error) {
	user, err := tx.FindUserByKey(UsernameKey(username))
	return user, refuse(err, store.ErrNotFound, errNoSuchUser(field))
}

// findUserOrID finds a user by username or, if nobody has this username, by id.
// Only what names somebody who is known to be there may use it: a username of
// digits can be had by anybody, who would then be sent what is meant for an id.
func findUserOrID(tx *store.Tx, named, field string) (User, error) {
	user, err := tx.FindUserByKey(UsernameKey(named))
	if id, ok := parseID(named); ok && errors.Is(err, store.ErrNotFound) {
		user, err = tx.FindUserByID(id)
	}
	return user, refuse(err, store.ErrNotFound, errNoSuchUser(field))
}

// findOneNamed is findUserOrID where it matters who is meant: it returns Conflict if
// one user has the username, and another the id.
func findOneNamed(tx *store.Tx, named, field string) (User, error) {
	user, err := findUserOrID(tx, named, field)
	if err != nil {
		return User{}, err
	}
	if id, ok := parseID(named); ok && id != user.ID {
		switch _, err := tx.FindUserByID(id); {
		case err == nil:
			return User{}, &Error{
				Kind: Conflict, Code: "user_ambiguous", Field: field,
				Message: "One user has this username, and another this id. An id may have zeros before it; then it is no username.",
			}
		case !errors.Is(err, store.ErrNotFound):
			return User{}, err
		}
	}
	return user, nil
}

// parseID reads an id as it stands in a path: digits alone.
func parseID(s string) (int64, bool) {
	if strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	id, err := strconv.ParseInt(s, 10, 64)
	return id, err == nil
}

// Register stores a new account. Whether there may be one, and what its
// password must be like, is for the caller to decide (package auth).
// It returns Invalid for the username, and Conflict if it is taken.
func (s *Service) Register(ctx context.Context, caller Caller, username, passwordHash string) (user User, err error) {
	err = s.store.Update(ctx, func(tx *store.Tx) (err error) {
		user, err = s.RegisterIn(tx, caller, User{Username: username, PasswordHash: passwordHash}, "")
		return err
	})
	if err != nil {
		return User{}, err
	}
	return user, nil
}

// RegisterIn is Register in an Update of package auth, with what else it knows of the
// new account; the detail is for the audit log.
func (s *Service) RegisterIn(tx *store.Tx, caller Caller, user User, detail string) (_ User, err error) {
	if user.Username, user.UsernameKey, err = PrepareUsername(user.Username); err != nil {
		return User{}, err
	}
	user.CreatedAt = s.now()
	if err := createUser(tx, &user); err != nil {
		return User{}, err
	}
	registered := Caller{UserID: user.ID, Address: caller.Address}
	return user, s.Audit(tx, registered, AuditEntry{Action: UserRegistered, UserID: user.ID, Detail: detail})
}

// UsernameFree returns Conflict if a username is taken: only to spare an attempt, as
// it may be by the time that it is wanted.
func UsernameFree(tx *store.Tx, username string) error {
	if _, err := tx.FindUserByKey(UsernameKey(username)); err == nil {
		return errUsernameTaken()
	} else if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return nil
}

// EmailFree returns Conflict if an account has an address, or is to have it when it is
// verified, or if it is a username: whoever claims an address comes before a username
// where people sign in. Until the Update has ended, no other one finds it free.
func EmailFree(tx *store.Tx, email string) error {
	if err := tx.LockName("email " + strings.ToLower(email)); err != nil {
		return err
	}
	_, err := tx.FindUserByEmail(email)
	if errors.Is(err, store.ErrNotFound) {
		_, err = tx.FindUserByKey(UsernameKey(email))
	}
	if err == nil {
		return &Error{Kind: Conflict, Code: "email_taken", Field: "email", Message: "There is an account with this e-mail address."}
	} else if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return nil
}

func createUser(tx *store.Tx, user *User) error {
	// Who is quicker shows when it is stored.
	if err := UsernameFree(tx, user.Username); err != nil {
		return err
	}
	if err := tx.CreateUser(user); err != nil {
		return refuse(err, store.ErrConflict, errUsernameTaken())
	}
	return indexUser(tx, User{}, *user)
}

func errUsernameTaken() *Error {
	return &Error{Kind: Conflict, Code: "username_taken", Field: "username", Message: "This username is taken."}
}

// Limits of a profile, in characters.
const (
	MaxDisplayNameLength = 64
	MaxEmailLength       = 254 // RFC 5321
	MaxAboutLength       = 500
)

// Profile is what people say about themselves. What is nil stays as it is.
type Profile struct {
	Username    *string
	DisplayName *string // one line; may be empty, as all that follows
	Email       *string // an address alone, which nobody but its owner sees
	Locale      *string // BCP 47
	About       *string
	Presence    *string // visible or hidden; not empty
}

// Whether others are told when somebody is there: of those who may be told at all
// (see [Service.Watchable]).
const (
	PresenceVisible = "visible"
	PresenceHidden  = "hidden"
)

// Users lists the accounts that a filter names, but for those deactivated. The
// fields for it are those of [store.User] that all may see. To look for some of them is
// a search, and TooMany for one too many.
func (s *Service) Users(ctx context.Context, caller Caller, f Filter) ([]User, error) {
	if len(f.Where) > 0 || len(f.Terms) > 0 {
		if err := s.takeSearch(ctx, caller); err != nil {
			return nil, err
		}
	}
	f.Where = append(slices.Clip(f.Where), store.Condition{Field: UserDeactivated, Value: int64(0)})
	return s.users(ctx, f)
}

func (s *Service) users(ctx context.Context, f Filter) (users []User, err error) {
	for _, c := range f.Where {
		if name, ok := c.Value.(string); ok && c.Field == store.UserUsername && c.Match == store.Equal {
			// The same, by an index.
			f.Where = append(slices.Clip(f.Where),
				store.Condition{Field: store.UserUsernameKey, Value: UsernameKey(name)})
			break
		}
	}
	err = s.store.ViewOne(ctx, func(tx *store.Tx) error {
		users, err = tx.ListUsers(f)
		return err
	})
	return users, err
}

// User finds an account by username or, if nobody has this username, by id. It
// returns NotFound if there is none, and if it has been deleted.
func (s *Service) User(ctx context.Context, named string) (User, error) {
	var user User
	err := s.store.View(ctx, func(tx *store.Tx) (err error) {
		user, err = findUserOrID(tx, named, "")
		return err
	})
	if err == nil && !user.DeletedAt.IsZero() {
		return User{}, errNoSuchUser("")
	}
	return user, err
}

// Me is the caller's own account.
func (s *Service) Me(ctx context.Context, caller Caller) (User, error) {
	var user User
	err := s.store.ViewOne(ctx, func(tx *store.Tx) (err error) {
		user, err = tx.FindUserByID(caller.UserID)
		return err
	})
	if err == nil && !user.DeletedAt.IsZero() {
		return User{}, errGone()
	}
	return user, err
}

// UpdateMe changes the caller's profile, all that is given or nothing. It returns
// Forbidden to whoever comes by a key, Invalid for the field that won't do, and Conflict
// for a username that is taken.
func (s *Service) UpdateMe(ctx context.Context, caller Caller, p Profile) (User, error) {
	_, after, err := s.ChangeMe(ctx, caller, p)
	return after, err
}

// ChangeMe is UpdateMe, and returns what the account was before, too.
func (s *Service) ChangeMe(ctx context.Context, caller Caller, p Profile) (before, after User, err error) {
	if err := caller.Require(AccountScope); err != nil {
		return User{}, User{}, err
	}
	change, err := p.prepare()
	if err != nil {
		return User{}, User{}, err
	}
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		before, after, err = s.changeMe(tx, caller, change)
		return err
	})
	return before, after, err
}

// UpdateMeIn is UpdateMe in an Update of package auth.
func (s *Service) UpdateMeIn(tx *store.Tx, caller Caller, p Profile) (User, error) {
	change, err := p.prepare()
	if err != nil {
		return User{}, err
	}
	_, after, err := s.changeMe(tx, caller, change)
	return after, err
}

func (s *Service) changeMe(tx *store.Tx, caller Caller, change store.UserChange) (before, after User, err error) {
	if before, err = tx.LockUser(caller.UserID); err != nil {
		return User{}, User{}, refuse(err, store.ErrNotFound, errGone())
	}
	after, err = ChangeUser(tx, before, change, caller.UserID, s.now())
	return before, after, err
}

// UsernameFree returns Conflict if somebody else has a username. It is for APIs that tell
// of that before they look at the name: whoever is quicker may have it in the next moment.
func (s *Service) UsernameFree(ctx context.Context, caller Caller, username string) error {
	return s.store.ViewOne(ctx, func(tx *store.Tx) error {
		user, err := tx.FindUserByKey(UsernameKey(username))
		if err == nil && user.ID != caller.UserID {
			err = errUsernameTaken()
		}
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
}

// prepare checks a profile.
func (p Profile) prepare() (c store.UserChange, err error) {
	if p.Username != nil {
		name, key, err := PrepareUsername(*p.Username)
		if err != nil {
			return c, err
		}
		c.Username, c.UsernameKey = &name, &key
	}
	if c.DisplayName, err = prepareText("display_name", p.DisplayName, MaxDisplayNameLength); err != nil {
		return c, err
	}
	if c.DisplayName != nil && strings.Contains(*c.DisplayName, "\n") {
		return c, invalid("display_name", "display_name_invalid", "It is one line.")
	}
	if p.Email != nil {
		email, err := PrepareEmail(*p.Email)
		if err != nil {
			return c, err
		}
		c.Email = &email
	}
	if c.Locale = p.Locale; c.Locale != nil && *c.Locale != "" {
		tag, err := language.Parse(*c.Locale)
		if err != nil {
			return c, invalid("locale", "locale_invalid", "It is no language tag, such as uk or en-GB.")
		}
		canonical := tag.String()
		c.Locale = &canonical
	}
	if p.Presence != nil {
		hidden := *p.Presence == PresenceHidden
		if !hidden && *p.Presence != PresenceVisible {
			return c, invalid("presence", "presence_invalid", "It is visible or hidden.")
		}
		c.PresenceHidden = &hidden
	}
	c.About, err = prepareText("about", p.About, MaxAboutLength)
	return c, err
}

// PrepareEmail checks an address, which may be empty, and returns it as it is stored.
func PrepareEmail(typed string) (string, error) {
	email, err := prepareText("email", &typed, MaxEmailLength)
	if err != nil || *email == "" {
		return "", err
	}
	// Not a name with an address: ParseAddress takes that, too.
	if address, err := mail.ParseAddress(*email); err != nil || address.Address != *email {
		return "", invalid("email", "email_invalid", "It is no e-mail address.")
	}
	// Nothing that can't be seen, or turns around what is shown of it; and a domain as
	// those of the world are: no number of a machine, no name within a house.
	if strings.ContainsFunc(*email, func(r rune) bool {
		return unicode.IsControl(r) || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r)
	}) {
		return "", invalid("email", "email_invalid", "It has characters that can't be seen.")
	}
	domain := (*email)[strings.LastIndexByte(*email, '@')+1:]
	if strings.HasPrefix(domain, "[") || !strings.ContainsAny(strings.Trim(domain, "."), ".。．｡") {
		return "", invalid("email", "email_invalid", "It has no domain, such as example.com.")
	}
	return *email, nil
}

// PrepareLine checks a text of one line, which may be empty, and returns it as it is
// stored.
func PrepareLine(field, typed string, limit int) (string, error) {
	text, err := prepareText(field, &typed, limit)
	if err != nil {
		return "", err
	}
	if strings.Contains(*text, "\n") {
		return "", invalid(field, field+"_invalid", "It is one line.")
	}
	return *text, nil
}

// maxToldChats bounds in how many of their chats others hear of what has become of
// an account: what it says is an Update that everybody waits for.
const maxToldChats = 10_000

// appendAccount tells of a change of an account, which is locked: all who are in a
// chat with its owner, if it is one of the names, and the owner's devices.
func appendAccount(tx *store.Tx, before, after User, actor int64, at time.Time) error {
	if before.Username != after.Username || before.DisplayName != after.DisplayName {
		told := eventData(map[string]string{"username": after.Username, "display_name": after.DisplayName})
		if err := appendUser(tx, after.ID, told, actor, at); err != nil {
			return err
		}
	}
	// To deactivate it is told by its sessions, and so is another password.
	before.PasswordHash, before.DeactivatedAt = after.PasswordHash, after.DeactivatedAt
	if before == after {
		return nil
	}
	return tx.AppendEvent(store.Event{
		Type: store.AccountUpdated, ActorID: actor, UserID: after.ID, At: at, Data: eventData(map[string]any{
			"username": after.Username, "display_name": after.DisplayName, "presence_hidden": after.PresenceHidden,
		}),
	})
}

// appendUser tells what has become of a user in each of their chats. The user is
// locked: nobody puts them into another chat meanwhile.
func appendUser(tx *store.Tx, userID int64, told string, actor int64, at time.Time) error {
	chats, err := tx.ListChatIDsOf(userID)
	if err != nil {
		return err
	}
	for _, chatID := range chats[:min(len(chats), maxToldChats)] {
		err := tx.AppendEvent(store.Event{
			Type: store.UserUpdated, ChatID: chatID, ActorID: actor, UserID: userID, Data: told, At: at,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// prepareText checks a text that may be empty, and have line ends.
func prepareText(field string, text *string, limit int) (*string, error) {
	if text == nil {
		return nil, nil
	}
	trimmed := strings.TrimSpace(*text)
	switch {
	case !storable(trimmed) || strings.ContainsFunc(trimmed, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }):
		return nil, invalid(field, field+"_invalid", "It is UTF-8 text without control characters.")
	case utf8.RuneCountInString(trimmed) > limit:
		return nil, invalid(field, field+"_too_long", "It has at most "+strconv.Itoa(limit)+" characters.")
	}
	return &trimmed, nil
}

// deletedUsername is shown for somebody who is gone. Nobody can have it: it has a
// space.
const deletedUsername = "deleted user"

// DeleteMe deletes the caller's account: all that identifies them, their
// sessions, their places in groups and their blocks, also in the logs of events and of
// the audit. Their messages stay, of a
// deleted user, and so do the chats with one other person. There is no way back;
// the username is free again. It returns Conflict to the only admin there is.
func (s *Service) DeleteMe(ctx context.Context, caller Caller) error {
	if err := caller.Require(AccountScope); err != nil {
		return err
	}
	return s.deleteAccount(ctx, caller.UserID, func(tx *store.Tx) error {
		return refuse(deleteAccount(tx, caller.UserID, caller.UserID, s.now()), store.ErrNotFound, errGone())
	})
}

// errJoined says that an account that is to be deleted has come into a group that
// is not locked.
var errJoined = fmt.Errorf("%w: somebody is joining groups while their account is deleted", store.ErrUnavailable)

// deleteAccount is an Update with such a function, once more for each time that
// somebody has just come into another group. What is left of the user then goes with
// more Updates or, if these fail, behind the requests.
func (s *Service) deleteAccount(ctx context.Context, userID int64, fn func(*store.Tx) error) (err error) {
	for range 5 {
		if err = s.store.Update(ctx, fn); !errors.Is(err, errJoined) {
			break
		}
	}
	if err != nil {
		return err
	}
	for erased := false; !erased && err == nil; {
		erased, err = s.eraseTrail(ctx, userID)
	}
	if err != nil {
		s.log.WarnContext(ctx, "account deleted, but what is left of it goes later", "user_id", userID, "error", err)
	}
	return nil
}

// erasedAtOnce is how much of each kind of what identifies a deleted user is removed
// in an Update: no sender waits for more.
const erasedAtOnce = 500

func (s *Service) eraseTrail(ctx context.Context, userID int64) (erased bool, err error) {
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		erased, err = tx.EraseTrail(userID, userGone(), erasedAtOnce)
		return err
	})
	return erased, err
}

// erase removes some of what identifies somebody whose account has been deleted, and
// tells whether there may be more: where a request could not end it, and of accounts
// that an earlier version has deleted.
func (s *Service) erase(ctx context.Context) (more bool, err error) {
	var userID int64
	err = s.store.ViewOne(ctx, func(tx *store.Tx) error {
		userID, err = tx.FindErasing()
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err == nil {
		_, err = s.eraseTrail(ctx, userID)
	}
	return err == nil, err
}

// userGone is what events tell of a user who has been deleted.
func userGone() string { return eventData(map[string]bool{"deleted": true}) }

// deleteAccount takes an account away, whose owner the actor need not be.
func deleteAccount(tx *store.Tx, userID, actor int64, at time.Time) error {
	groups, err := tx.ListGroupIDsOf(userID)
	if err != nil {
		return err
	}
	for _, chatID := range groups { // all before the first is left: see LockChat
		if err := tx.LockChat(userID, chatID); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	if err := notLastAdmin(tx, userID); err != nil {
		return err
	}
	old, err := tx.LockUser(userID)
	if err != nil {
		return err
	}
	// From now on nobody puts them into a group (see AddParticipant). Who has done
	// so since they were listed has to be waited for.
	now, err := tx.ListGroupIDsOf(userID)
	if err != nil {
		return err
	}
	for _, chatID := range now {
		if !slices.Contains(groups, chatID) {
			return errJoined
		}
	}
	for _, chatID := range groups {
		theirs, err := tx.FindParticipant(chatID, userID)
		if errors.Is(err, store.ErrNotFound) {
			continue // removed meanwhile
		}
		if err != nil {
			return err
		}
		if err := tx.RevokeInvitesOf(chatID, userID, at); err != nil {
			return err
		}
		if err := leave(tx, theirs, actor, at); err != nil {
			return err
		}
		if err := tx.RevokeInvitesOf(chatID, userID, at); err != nil {
			return err
		}
	}
	if err := EndSessionsOf(tx, userID, 0, actor, at); err != nil {
		return err
	}
	if err := appendUser(tx, userID, userGone(), actor, at); err != nil {
		return err
	}
	if err := tx.DeleteBlocksOf(userID); err != nil {
		return err
	}
	if err := indexUser(tx, old, User{}); err != nil {
		return err
	}
	return tx.EraseUser(userID, deletedUsername, " "+strconv.FormatInt(userID, 10), at)
}
