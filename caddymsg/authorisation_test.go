package caddymsg_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// columns are those who ask, by their names in the world. The groups in question
// are 1, which its members manage, and 3, which its admins manage.
var columns = [...]struct{ role, name string }{
	{"anonymous", ""},
	{"stranger", "stan"},
	{"member", "mia"},
	{"admin of the group", "adam"},
	{"owner of the group", "alice"},
	{"blocked", "bob"}, // by alice; he is a member, too
	{"system admin", "root"},
	{"deactivated", "dora"}, // once a member; with a session that has not ended
}

type answers = [len(columns)]string

// access says what an operation answers to whom.
type access struct {
	// ask is the path and the body. {me} is the username of who asks, {invite 1} the
	// token of the invite to group 1.
	ask string
	// want has the status for each column, and the code of a refusal.
	want answers
	// blocked and deactivated are asked in those columns instead, if they are given:
	// a block is about the two people, and not about the group.
	blocked, deactivated string
}

// What there is to answer.
const (
	yes    = "200"
	who    = "401 unauthenticated"
	shut   = "403 account_deactivated"
	out    = "403 not_a_participant"
	system = "403 admin_required"
	admin  = "403 group_admin_required"
	owner  = "403 owner_required"
	sender = "403 not_the_sender"
	block  = "403 blocked"
	none   = "404 message_not_found"
	free   = "404 not_blocked"
	gone   = "404 session_not_found"
	inside = "400 already_a_participant"
	cred   = "400 bad_credentials"
	used   = "401 token_revoked"
	wrong  = "400 wrong_password"
	stale  = "400 token_invalid"
	noMail = "400 nothing_to_verify"
	last   = "400 last_admin"
	plain  = "426 upgrade_required"
)

// The usual rows.
var (
	anybody      = answers{yes, yes, yes, yes, yes, yes, yes, yes}
	signedIn     = answers{who, yes, yes, yes, yes, yes, yes, who}
	systemAdmin  = answers{who, system, system, system, system, system, yes, who}
	participants = answers{who, out, yes, yes, yes, yes, out, who}
	groupAdmins  = answers{who, out, admin, yes, yes, admin, out, who}
	groupOwner   = answers{who, out, owner, owner, yes, owner, out, who}
	readers      = answers{who, none, yes, yes, yes, yes, none, who}
	butBlocked   = answers{who, yes, yes, yes, yes, block, yes, who}
)

// authorisation has a row for each operation. What stands behind a colon tells rows
// of the same operation apart.
var authorisation = map[string]access{
	//                                          anonymous, stranger, member, admin, owner, blocked, system, deactivated
	"register": {ask: `/v1/auth/register {"username":"zoe","password":"open sesame"}`, want: anybody},
	"login": {
		ask:         `/v1/auth/login {"username":"alice","password":"correct horse battery"}`,
		want:        answers{yes, yes, yes, yes, yes, yes, yes, shut},
		deactivated: `/v1/auth/login {"username":"dora","password":"correct horse battery"}`,
	},
	"login: with a wrong password": {
		ask:         `/v1/auth/login {"username":"alice","password":"wrong"}`,
		want:        answers{cred, cred, cred, cred, cred, cred, cred, cred},
		deactivated: `/v1/auth/login {"username":"dora","password":"wrong"}`,
	},
	"logout": {ask: "/v1/auth/logout", want: signedIn},
	"issue-token": {
		ask:         `/v1/auth/token {"username":"alice","password":"correct horse battery"}`,
		want:        answers{yes, yes, yes, yes, yes, yes, yes, shut},
		deactivated: `/v1/auth/token {"username":"dora","password":"correct horse battery"}`,
	},
	"issue-token: to refresh, with none of ours": {
		ask:  `/v1/auth/token {"refresh_token":"cmsg_rt_SKD2SGZN3YC6PFZMUXPCJCSW63IHDVRSMUMZ2BL5U46TRYF4E6XURUXJFZA"}`,
		want: answers{used, used, used, used, used, used, used, used},
	},
	// A session is no username and password, which it takes.
	"issue-token-by-basic": {ask: "/v1/auth/token", want: answers{who, who, who, who, who, who, who, who}},
	"create-key":           {ask: `/v1/me/keys {"name":"bot","scopes":["read"]}`, want: signedIn},

	"change-password": {
		ask: `/v1/me/password {"current_password":"correct horse battery","password":"another horse"}`, want: signedIn,
	},
	"change-password: with a wrong one": {
		ask:  `/v1/me/password {"current_password":"wrong","password":"another horse"}`,
		want: answers{who, wrong, wrong, wrong, wrong, wrong, wrong, who},
	},
	"forgot-password": {ask: `/v1/auth/forgot-password {"email":"alice@example.com"}`, want: anybody},
	"reset-password": { // whoever reads alice's mails
		ask:  `/v1/auth/reset-password {"token":"cmsg_reset_EXAMPLEEXAMPLEEXAMPLEEXAMPWZVDLBI","password":"another horse"}`,
		want: anybody,
	},
	"reset-password: without a token": {
		ask:  `/v1/auth/reset-password {"token":"cmsg_mail_EXAMPLEEXAMPLEEXAMPLEEXAMPMZGNTFQ","password":"another horse"}`,
		want: answers{stale, stale, stale, stale, stale, stale, stale, stale},
	},
	"change-email": {
		ask: `/v1/me/email {"email":"new@example.com","password":"correct horse battery"}`, want: signedIn,
	},
	"change-email: with a wrong password": {
		ask:  `/v1/me/email {"email":"new@example.com","password":"wrong"}`,
		want: answers{who, wrong, wrong, wrong, wrong, wrong, wrong, who},
	},
	"send-verification": {
		ask:  "/v1/me/email/verification",
		want: answers{who, noMail, noMail, noMail, yes, noMail, noMail, who},
	},
	"verify-email": { // whoever reads alice's mails
		ask: `/v1/auth/verify-email {"token":"cmsg_mail_EXAMPLEEXAMPLEEXAMPLEEXAMPMZGNTFQ"}`, want: anybody,
	},
	"verify-email: without a token": {
		ask:  `/v1/auth/verify-email {"token":"cmsg_reset_EXAMPLEEXAMPLEEXAMPLEEXAMPWZVDLBI"}`,
		want: answers{stale, stale, stale, stale, stale, stale, stale, stale},
	},
	"list-my-sessions": {ask: "/v1/me/sessions", want: signedIn},
	"get-my-session":   {ask: "/v1/me/sessions/1", want: answers{who, gone, gone, gone, yes, gone, gone, who}}, // alice's
	"end-my-sessions":  {ask: "/v1/me/sessions", want: signedIn},
	"end-my-session":   {ask: "/v1/me/sessions/1", want: answers{who, gone, gone, gone, yes, gone, gone, who}},

	"list-users":  {ask: "/v1/users", want: signedIn},
	"get-user":    {ask: "/v1/users/alice", want: signedIn},
	"get-me":      {ask: "/v1/me", want: signedIn},
	"update-me":   {ask: `/v1/me {"about":"text"}`, want: signedIn},
	"export-me":   {ask: "/v1/me/export", want: signedIn},
	"delete-me":   {ask: "/v1/me", want: answers{who, yes, yes, yes, yes, yes, last, who}},
	"list-blocks": {ask: "/v1/blocks", want: signedIn},
	"block":       {ask: "/v1/blocks/nina", want: signedIn},
	"unblock":     {ask: "/v1/blocks/bob", want: answers{who, free, free, free, yes, free, free, who}},

	"create-group": {ask: `/v1/group_chat {"title":"Club"}`, want: signedIn},
	"list-groups":  {ask: "/v1/group_chat", want: signedIn},
	"get-group":    {ask: "/v1/group_chat/1", want: participants},
	"get-group: a public one": {
		ask: "/v1/group_chat/4", want: signedIn,
	},
	"update-group":      {ask: `/v1/group_chat/1 {"title":"Club"}`, want: groupAdmins},
	"delete-group":      {ask: "/v1/group_chat/1", want: groupOwner},
	"list-participants": {ask: "/v1/group_chat/1/participants", want: participants},
	"add-participant": {
		ask:  `/v1/group_chat/1/participants {"username":"nina"}`,
		want: answers{who, out, yes, yes, yes, block, out, who},
		// into a group that she is not in
		blocked: `/v1/group_chat/5/participants {"username":"alice"}`,
	},
	"add-participant: where admins manage": {
		ask: `/v1/group_chat/3/participants {"username":"nina"}`, want: groupAdmins,
	},
	"set-role":           {ask: `/v1/group_chat/1/participants/mia {"role":"admin"}`, want: groupOwner},
	"remove-participant": {ask: "/v1/group_chat/1/participants/dora", want: participants},
	"remove-participant: where admins manage": {
		ask: "/v1/group_chat/3/participants/dora", want: groupAdmins,
	},
	"remove-participant: an admin, where admins manage": {
		ask:  "/v1/group_chat/3/participants/adam",
		want: answers{who, out, admin, yes, yes, admin, out, who}, // adam leaves
	},
	"remove-participant: the owner, where admins manage": {
		ask:  "/v1/group_chat/3/participants/alice",
		want: answers{who, out, admin, owner, yes, admin, out, who}, // alice leaves
	},
	"remove-participant: oneself, where admins manage": {
		ask: "/v1/group_chat/3/participants/{me}", want: participants,
	},
	"join-group": {ask: "/v1/group_chat/4/join", want: signedIn},
	"join-group: a private one": {
		ask: "/v1/group_chat/1/join", want: answers{who, out, inside, inside, inside, inside, out, who},
	},

	"create-invite": {ask: "/v1/group_chat/1/invites", want: participants},
	"create-invite: where admins manage": {
		ask: "/v1/group_chat/3/invites", want: groupAdmins,
	},
	"list-invites": {ask: "/v1/group_chat/1/invites", want: participants},
	"list-invites: where admins manage": {
		ask: "/v1/group_chat/3/invites", want: groupAdmins,
	},
	"revoke-invite": {ask: "/v1/group_chat/1/invites/1", want: participants},
	"revoke-invite: where admins manage": {
		ask: "/v1/group_chat/3/invites/2", want: groupAdmins,
	},
	"get-invitation": {ask: "/v1/invites/{invite 1}", want: signedIn},
	"accept-invite": {
		ask: "/v1/invites/{invite 1}", want: answers{who, yes, inside, inside, inside, inside, yes, who},
	},

	"list-chats":   {ask: "/v1/chats", want: signedIn},
	"count-unread": {ask: "/v1/chats/unread", want: signedIn},
	"open-chat":    {ask: `/v1/chats {"username":"alice"}`, want: butBlocked},
	"get-chat":     {ask: "/v1/chats/1", want: participants},
	"update-chat":  {ask: `/v1/chats/1 {"archived":true}`, want: participants},
	"delete-chat":  {ask: "/v1/chats/1", want: groupOwner},
	"delete-chat: of two people": {
		ask: "/v1/chats/2", want: answers{who, out, out, out, yes, yes, out, who},
	},
	"read-chat":    {ask: `/v1/chats/1/read {"seq":1}`, want: participants},
	"deliver-chat": {ask: `/v1/chats/1/delivered {"seq":1}`, want: participants},

	"send-message": {
		ask:     `/v1/messages {"group_chat_id":1,"message":"hi"}`,
		want:    answers{who, out, yes, yes, yes, block, out, who},
		blocked: `/v1/messages {"group_chat_id":2,"message":"hi"}`,
	},
	"send-message: to a person": {
		ask: `/v1/messages {"dest_username":"alice","message":"hi"}`, want: butBlocked,
	},
	"send-to-chat": {
		ask:     `/v1/chats/1/messages {"text":"hi"}`,
		want:    answers{who, out, yes, yes, yes, block, out, who},
		blocked: `/v1/chats/2/messages {"text":"hi"}`,
	},
	"list-messages":              {ask: "/v1/group_chat/messages", want: signedIn},
	"list-messages-short":        {ask: "/v1/messages", want: signedIn},
	"list-group-messages":        {ask: "/v1/group_chat/messages/group/1", want: participants},
	"list-group-messages-short":  {ask: "/v1/messages/group/1", want: participants},
	"list-direct-messages":       {ask: "/v1/group_chat/messages/p2p/alice", want: signedIn},
	"list-direct-messages-short": {ask: "/v1/messages/p2p/alice", want: signedIn},
	"list-chat-messages":         {ask: "/v1/chats/1/messages", want: participants},
	"list-chat-messages: of two people": {
		ask: "/v1/chats/2/messages", want: answers{who, out, out, out, yes, yes, out, who},
	},

	"get-message": {ask: "/v1/messages/1", want: readers},
	"edit-message": {
		ask:     `/v1/messages/1 {"text":"changed"}`,
		want:    answers{who, none, sender, sender, yes, block, none, who},
		blocked: `/v1/messages/3 {"text":"changed"}`, // his own
	},
	"delete-message": {
		ask:     "/v1/messages/1",
		want:    answers{who, none, sender, yes, yes, yes, none, who},
		blocked: "/v1/messages/3", // his own
	},
	"delete-message: in a group, as blocked": {
		ask:  "/v1/messages/1",
		want: answers{who, none, sender, yes, yes, sender, none, who},
	},
	"delete-message: of two people": {
		ask:  "/v1/messages/2",
		want: answers{who, none, none, none, yes, sender, none, who},
	},
	"delete-message: for oneself": {ask: "/v1/messages/1?for=me", want: readers},
	"list-edits":                  {ask: "/v1/messages/1/edits", want: readers},
	"list-thread":                 {ask: "/v1/messages/1/thread", want: readers},
	"list-readers":                {ask: "/v1/messages/1/readers", want: readers},

	"list-reactions": {ask: "/v1/messages/1/reactions", want: readers},
	"react": {
		ask:     "/v1/messages/1/reactions/like",
		want:    answers{who, none, yes, yes, yes, block, none, who},
		blocked: "/v1/messages/2/reactions/like",
	},
	"unreact": {
		ask: "/v1/messages/1/reactions/like", want: readers, blocked: "/v1/messages/2/reactions/like",
	},

	"get-poll": {ask: "/v1/messages/4/poll", want: readers},
	"vote": {
		ask:     `/v1/messages/4/poll/votes {"options":[0]}`,
		want:    answers{who, none, yes, yes, yes, block, none, who},
		blocked: `/v1/messages/5/poll/votes {"options":[0]}`,
	},
	"list-votes": {ask: "/v1/messages/4/poll/votes?option=0", want: readers},
	"close-poll": {
		ask:  "/v1/messages/4/poll/close",
		want: answers{who, none, sender, yes, yes, sender, none, who},
	},
	"close-poll: of two people": {
		ask:  "/v1/messages/5/poll/close",
		want: answers{who, none, none, none, yes, block, none, who},
	},

	"admin-list-users":    {ask: "/v1/admin/users", want: systemAdmin},
	"admin-create-user":   {ask: `/v1/admin/users {"username":"zoe","password":"open sesame"}`, want: systemAdmin},
	"admin-get-user":      {ask: "/v1/admin/users/2", want: systemAdmin},
	"admin-update-user":   {ask: `/v1/admin/users/2 {"about":"text"}`, want: systemAdmin},
	"admin-delete-user":   {ask: "/v1/admin/users/2", want: systemAdmin},
	"admin-list-sessions": {ask: "/v1/admin/users/2/sessions", want: systemAdmin},
	"admin-end-sessions":  {ask: "/v1/admin/users/2/sessions", want: systemAdmin},
	"admin-end-session":   {ask: "/v1/admin/users/2/sessions/2", want: systemAdmin},
	"admin-list-groups":   {ask: "/v1/admin/group_chat", want: systemAdmin},
	"admin-delete-group":  {ask: "/v1/admin/group_chat/1", want: systemAdmin},

	"admin-create-invitation": {ask: "/v1/admin/invitations", want: systemAdmin},
	"admin-list-invitations":  {ask: "/v1/admin/invitations", want: systemAdmin},
	"admin-revoke-invitation": {ask: "/v1/admin/invitations/1", want: systemAdmin},

	"admin-audit-log": {ask: "/v1/admin/audit_log", want: systemAdmin},

	"list-events":   {ask: "/v1/events", want: signedIn},
	"list-presence": {ask: "/v1/presence?user_ids=1", want: signedIn},
	"type-in-chat":  {ask: "/v1/chats/1/typing", want: participants},
	"type-in-chat: of two people": {
		ask: "/v1/chats/2/typing", want: answers{who, out, out, out, yes, block, out, who},
	},
	// They have come to where it is asked for a WebSocket.
	"open-websocket": {ask: "/v1/ws", want: answers{who, plain, plain, plain, plain, plain, plain, who}},

	"search": {ask: "/v1/search?q=hi", want: signedIn},
}

// TestAuthorisation holds every operation of the document to its rows, and every row
// to an operation. What is refused must have changed nothing.
func TestAuthorisation(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		w := newWorld(t, engine)
		operations, missing := w.operations(), w.operations()
		for _, name := range slices.Sorted(maps.Keys(authorisation)) {
			row := authorisation[name]
			id, _, _ := strings.Cut(name, ":")
			op := operations[id]
			require.NotNil(t, op, "%s: there is no such operation", name)
			delete(missing, id)
			for i, column := range columns {
				t.Run(name+" as "+column.role, func(t *testing.T) {
					w.restore()
					path, body := row.request(w, column.role, column.name)
					require.Regexp(t, op.pattern(), path, "the row asks for another operation")
					r := w.ask(column.name, op.method, path, body)
					got := fmt.Sprint(r.StatusCode)
					if r.StatusCode >= 400 {
						got += fmt.Sprint(" ", r.Field("code"))
						require.Empty(t, w.touched(), "it was refused: %s", r.Text)
					}
					require.Equal(t, row.want[i], got, r.Text)
				})
			}
		}
		require.Empty(t, slices.Sorted(maps.Keys(missing)), "operations without a row")
	})
}

// request is what somebody in a column asks for.
func (a access) request(w *world, role, name string) (path, body string) {
	ask := a.ask
	switch {
	case role == "blocked" && a.blocked != "":
		ask = a.blocked
	case role == "deactivated" && a.deactivated != "":
		ask = a.deactivated
	}
	if name == "" {
		name = "nobody"
	}
	path, body, _ = strings.Cut(w.fill(strings.ReplaceAll(ask, "{me}", name)), " ")
	return path, body
}

// pattern matches the paths of an operation.
func (op *worldOperation) pattern() string {
	return "^" + regexp.MustCompile(`\{\w+\}`).ReplaceAllString(op.path, `[^/?]+`) + `(\?|$)`
}
