// Package chat holds the rules: accounts, chats, messages, and who may do
// what. It knows no HTTP and no SQL. A method of [Service] checks, decides and
// stores in one transaction; what it refuses it refuses with an [*Error].
package chat

import (
	"log/slog"
	"time"

	"github.com/caddymsg/messaging/limit"
	"github.com/caddymsg/messaging/store"
)

// What the store keeps is what the APIs show.
type (
	User    = store.User
	Chat    = store.Chat
	Message = store.Message
)

// Caller is the person on whose behalf a rule is asked.
type Caller struct {
	UserID   int64
	Username string
	Admin    bool   // of the whole server
	Address  string // of the client; empty, if it is unknown
	// SessionID is the sign-in that it comes by, or 0.
	SessionID int64
	// Scopes are what it may do; zero is all that its owner may. The API has asked for
	// ReadScope or WriteScope before it asks a rule.
	Scopes Scopes
	// Trusted says that they have shown nothing, on a site that trusts the ids of users;
	// without a UserID it is nobody.
	Trusted bool
}

// Service answers for all chats of one database.
type Service struct {
	store  *store.Store
	limits *limit.Limiter // nil: there are none
	log    *slog.Logger
	now    func() time.Time

	maxParticipants int // of a group
}

// New makes a Service over an open store.
func New(s *store.Store, log *slog.Logger) *Service {
	return &Service{store: s, log: log, now: now, maxParticipants: MaxParticipants}
}

// now is as precise as the store is: what a rule answers first, and what is
// read back later, are the same.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
