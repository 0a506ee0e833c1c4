package chat_test

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

// model is what all rules say of a few people and their chats, told without a
// database and one thing after the other. A method that ends in Refusal tells
// what somebody is refused with, and the zero refusal if nothing speaks against
// it; the method without it does the thing.
type model struct {
	now     time.Time
	persons []*person
	talks   []*talk
	said    []*said
	invites []*invited
	blocks  map[[2]*person]bool // who, whom
	keys    map[keyOf]*said
	answers map[keyOf]any // to what is no message: a group, an invite, several messages
	heard   []told        // since they were asked for last
	log     []told        // before that
	first   int64         // the id of the first of these
}

type person struct {
	chat.Caller
	gone        bool
	displayName string
	unseen      bool // hides it
}

func (p *person) shown() string {
	if p.gone {
		return "deleted user"
	}
	return p.Username
}

// talk is a chat.
type talk struct {
	chat.Chat
	places  map[*person]*place
	two     [2]*person // of a direct chat, the lower id first; the same in a self chat
	said    []*said
	deleted bool
	swept   bool
}

// place is somebody's place in a chat.
type place struct {
	role             string
	joined           time.Time
	read, delivered  int64
	muted            time.Time
	archived, unread bool
}

// said is a message.
type said struct {
	id, seq         int64
	in              *talk
	by              *person
	text, key       string
	at              time.Time
	edited, deleted time.Time
	replyTo, thread *said
	replies         int64
	mentions        []store.Mention
	versions        []chat.Edit
	reactions       []reacted
	poll            *asked
	hidden          map[*person]bool
}

type reacted struct {
	by    *person
	emoji string
	at    time.Time
}

// asked is a poll.
type asked struct {
	options             []string
	multiple, anonymous bool
	closes              time.Time // zero: never
	votes               []vote
}

type vote struct {
	by     *person
	choice int
	at     time.Time
}

func (a *asked) chosen(by *person, choice int) bool {
	return slices.ContainsFunc(a.votes, func(v vote) bool { return v.by == by && v.choice == choice })
}

func (a *asked) closed(now time.Time) bool { return !a.closes.IsZero() && !a.closes.After(now) }

// invited is an invite.
type invited struct {
	id, uses, max int
	token         string
	in            *talk
	by            *person
	at, expires   time.Time // zero: never
	revoked       bool
}

type keyOf struct {
	by  *person
	key string
}

// told is what clients hear.
type told struct {
	what       string
	chat, user int64
}

func (w *model) tell(what string, c *talk, about *person) {
	t := told{what: what}
	if c != nil {
		t.chat = c.ID
	}
	if about != nil {
		t.user = about.UserID
	}
	w.heard = append(w.heard, t)
}

// because is what the rules refuse with.
var because = struct {
	noMessage, blocked, notAdmin, notOwner, notSender, noReply, deleted, noParticipant, noPoll, noInvite, isIn refusal
}{
	noMessage:     refusal{chat.NotFound, "message_not_found", ""},
	blocked:       refusal{chat.Forbidden, "blocked", ""},
	notAdmin:      refusal{chat.Forbidden, "group_admin_required", ""},
	notOwner:      refusal{chat.Forbidden, "owner_required", ""},
	notSender:     refusal{chat.Forbidden, "not_the_sender", ""},
	noReply:       refusal{chat.Invalid, "reply_to_invalid", "reply_to"},
	deleted:       refusal{chat.Invalid, "message_deleted", ""},
	noParticipant: refusal{chat.NotFound, "participant_not_found", "username"},
	noInvite:      refusal{chat.NotFound, "invite_not_found", ""},
	isIn:          refusal{chat.Conflict, "already_a_participant", ""},
	noPoll:        refusal{chat.NotFound, "poll_not_found", ""},
}

// Who is where.

func (w *model) alive() []*person {
	return slices.DeleteFunc(slices.Clone(w.persons), func(p *person) bool { return p.gone })
}

// named finds who has a username now.
func (w *model) named(username string) *person {
	for _, p := range w.persons {
		if !p.gone && p.Username == username {
			return p
		}
	}
	return nil
}

func (c *talk) has(p *person) bool { return c != nil && c.places[p] != nil }

func (c *talk) isGroup() bool { return c.Kind == store.GroupChat }

func (c *talk) isAdmin(p *person) bool {
	return c.has(p) && (c.places[p].role == store.Owner || c.places[p].role == store.Admin)
}

func (c *talk) canManage(p *person) bool {
	return c.has(p) && (c.ManagedBy == store.ByMembers || c.isAdmin(p))
}

// byPlace are the people of a chat, by how long they have been in it.
func (c *talk) byPlace() []*person {
	return slices.SortedFunc(maps.Keys(c.places), func(a, b *person) int {
		return cmp.Or(c.places[a].joined.Compare(c.places[b].joined), cmp.Compare(a.UserID, b.UserID))
	})
}

// byID are the people of a chat, by their ids.
func (c *talk) byID() []*person {
	return slices.SortedFunc(maps.Keys(c.places), func(a, b *person) int { return cmp.Compare(a.UserID, b.UserID) })
}

// other is whom one talks with in a direct chat, or nil.
func (c *talk) other(p *person) *person {
	switch {
	case c.Kind != store.DirectChat:
		return nil
	case c.two[0] == p:
		return c.two[1]
	}
	return c.two[0]
}

// blockedIn tells whether somebody can't write to a chat that they are in.
func (w *model) blockedIn(c *talk, p *person) bool {
	other := c.other(p)
	return other != nil && w.blocks[[2]*person{other, p}]
}

// direct is the chat between two people, if they have one.
func (w *model) direct(a, b *person) *talk {
	for _, c := range w.talks {
		if !c.deleted && c.two[0] != nil && (c.two == [2]*person{a, b} || c.two == [2]*person{b, a}) {
			return c
		}
	}
	return nil
}

func (w *model) enter(c *talk, p *person, role string) {
	c.places[p] = &place{role: role, joined: w.now, read: c.LastSeq, delivered: c.LastSeq}
}

func (w *model) addTalk(c chat.Chat, role string, people ...*person) *talk {
	added := &talk{Chat: c, places: map[*person]*place{}}
	for _, p := range people {
		w.enter(added, p, role)
	}
	w.talks = append(w.talks, added)
	w.tell(store.ChatCreated, added, nil)
	return added
}

// addDirect adds the chat between two people, who may be the same.
func (w *model) addDirect(id int64, a, b *person) *talk {
	kind, people := store.DirectChat, []*person{a, b}
	if a == b {
		kind, people = store.SelfChat, people[:1]
	}
	c := w.addTalk(chat.Chat{
		ID: id, Kind: kind, Visibility: store.Private, ManagedBy: store.ByMembers, CreatedAt: w.now, ActiveAt: w.now,
	}, store.Member, people...)
	if c.two = [2]*person{a, b}; a.UserID > b.UserID {
		c.two = [2]*person{b, a}
	}
	return c
}

// Groups.

func (w *model) addRefusal(by *person, c *talk, username string) refusal {
	who := w.named(username)
	switch {
	case !c.has(by):
		return notAParticipant
	case who == nil:
		return noSuchUser
	case !c.isGroup():
		return notAGroup
	case !c.canManage(by):
		return because.notAdmin
	case w.blocks[[2]*person{who, by}]:
		return because.blocked
	case c.has(who):
		return refusal{chat.Conflict, "already_a_participant", "username"}
	}
	return refusal{}
}

func (w *model) add(c *talk, who *person) {
	w.enter(c, who, store.Member)
	w.tell(store.ParticipantAdded, c, who)
}

func (w *model) removeRefusal(by *person, c *talk, who *person) refusal {
	switch {
	case !c.has(by):
		return notAParticipant
	case who == nil:
		return noSuchUser
	case !c.isGroup():
		return notAGroup
	case who == by:
		return refusal{}
	case !c.canManage(by):
		return because.notAdmin
	case !c.has(who):
		return because.noParticipant
	case c.ManagedBy == store.ByAdmins && c.isAdmin(who) && c.places[by].role != store.Owner:
		return because.notOwner
	}
	return refusal{}
}

// remove takes somebody out of a group, who does not come back by an invite of
// their own unless they left themselves.
func (w *model) remove(by *person, c *talk, who *person) {
	for _, i := range w.invites {
		i.revoked = i.revoked || by != who && i.in == c && i.by == who
	}
	w.leave(by, c, who)
}

// leave takes somebody out of a group, who may leave it to somebody else: to who
// has done so only if there is nobody else.
func (w *model) leave(by *person, c *talk, who *person) {
	role := c.places[who].role
	delete(c.places, who)
	w.tell(store.ParticipantRemoved, c, who)
	if role != store.Owner {
		return
	}
	for _, heirs := range []string{store.Admin, store.Member} {
		for _, p := range c.byPlace() {
			if c.places[p].role == heirs && p != by {
				w.setRole(c, p, store.Owner)
				return
			}
		}
	}
	if c.has(by) {
		w.setRole(c, by, store.Owner)
	}
}

func (w *model) roleRefusal(by *person, c *talk, who *person, role string) refusal {
	switch {
	case !c.has(by):
		return notAParticipant
	case who == nil:
		return noSuchUser
	case !c.isGroup():
		return notAGroup
	case c.places[by].role != store.Owner:
		return because.notOwner
	case !c.has(who):
		return because.noParticipant
	case who == by && role != store.Owner:
		return refusal{chat.Invalid, "owner_needed", "role"}
	}
	return refusal{}
}

func (w *model) giveRole(by *person, c *talk, who *person, role string) {
	if c.places[who].role == role {
		return
	}
	if role == store.Owner {
		w.setRole(c, by, store.Admin)
	}
	w.setRole(c, who, role)
	// Who may not add people any more does not do so by an invite.
	for _, i := range w.invites {
		i.revoked = i.revoked || i.in == c && i.by == who && !c.canManage(who)
	}
}

func (w *model) setRole(c *talk, who *person, role string) {
	c.places[who].role = role
	w.tell(store.ParticipantUpdated, c, who)
}

func (w *model) joinRefusal(by *person, c *talk) refusal {
	switch {
	case c == nil, c.deleted:
		return notAParticipant
	case !c.isGroup() && c.has(by):
		return notAGroup
	case c.has(by):
		return because.isIn
	case c.Visibility != store.Public:
		return notAParticipant
	}
	return refusal{}
}

func (w *model) join(by *person, c *talk) {
	role := store.Member
	if len(c.places) == 0 {
		role = store.Owner
	}
	w.enter(c, by, role)
	w.tell(store.ParticipantAdded, c, by)
}

func (w *model) changeRefusal(by *person, c *talk, g chat.GroupChange) refusal {
	switch {
	case !c.has(by):
		return notAParticipant
	case !c.isGroup():
		return notAGroup
	case !c.isAdmin(by):
		return because.notAdmin
	case g.ManagedBy != nil && *g.ManagedBy != c.ManagedBy && c.places[by].role != store.Owner:
		return because.notOwner
	}
	return refusal{}
}

func (w *model) change(c *talk, g chat.GroupChange) {
	before := c.Chat
	for to, value := range map[*string]*string{
		&c.Title: g.Title, &c.Description: g.Description, &c.Visibility: g.Visibility, &c.ManagedBy: g.ManagedBy,
	} {
		if value != nil {
			*to = *value
		}
	}
	if c.Chat != before {
		w.tell(store.ChatUpdated, c, nil)
	}
}

// seesGroup tells whether somebody may look at a group.
func (c *talk) seesGroup(p *person) bool {
	return c.isGroup() && !c.deleted && (c.has(p) || c.Visibility == store.Public)
}

func (w *model) inviteRefusal(by *person, c *talk) refusal {
	switch {
	case !c.has(by):
		return notAParticipant
	case !c.isGroup():
		return notAGroup
	case !c.canManage(by):
		return because.notAdmin
	}
	return refusal{}
}

// isLive tells whether an invite is of use.
func (w *model) isLive(i *invited) bool {
	return !i.revoked && !i.in.deleted && (i.max == 0 || i.uses < i.max) && (i.expires.IsZero() || i.expires.After(w.now))
}

func (w *model) acceptRefusal(by *person, i *invited) refusal {
	switch {
	case i == nil || !w.isLive(i):
		return because.noInvite
	case i.in.has(by):
		return because.isIn
	}
	return refusal{}
}

func (w *model) accept(by *person, i *invited) {
	w.join(by, i.in)
	i.uses++
}

// Chats.

func (w *model) openRefusal(by, with *person) refusal {
	switch {
	case with == nil:
		return noSuchUser
	case w.blocks[[2]*person{with, by}]:
		return because.blocked
	}
	return refusal{}
}

func (w *model) deleteChatRefusal(by *person, c *talk, asGroup bool) refusal {
	switch {
	case !c.has(by):
		return notAParticipant
	case asGroup && !c.isGroup():
		return notAGroup
	case c.isGroup() && c.places[by].role != store.Owner:
		return because.notOwner
	}
	return refusal{}
}

func (w *model) deleteChat(c *talk) {
	for _, p := range c.byID() {
		w.tell(store.ChatDeleted, c, p)
	}
	c.deleted = true
	clear(c.places)
}

func (w *model) sweep() {
	for _, c := range w.talks {
		c.swept = c.deleted
	}
}

// chatsOf lists the chats of somebody, the one where something happened last
// first.
func (w *model) chatsOf(p *person, wanted func(*talk) bool) []*talk {
	var found []*talk
	for _, c := range w.talks {
		if c.has(p) && wanted(c) {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b *talk) int {
		return cmp.Or(b.ActiveAt.Compare(a.ActiveAt), cmp.Compare(b.ID, a.ID))
	})
	return found
}

func (w *model) watermarkRefusal(by *person, c *talk, seq int64) refusal {
	switch {
	case !c.has(by):
		return notAParticipant
	case seq < 0 || seq > c.LastSeq:
		return refusal{chat.Invalid, "seq_invalid", "seq"}
	}
	return refusal{}
}

func (w *model) read(by *person, c *talk, seq int64) {
	mine := c.places[by]
	before := *mine
	mine.read, mine.unread = max(mine.read, seq), false
	mine.delivered = max(mine.delivered, mine.read)
	switch {
	case mine.read != before.read:
		w.tell(store.ChatRead, c, by)
	case mine.delivered != before.delivered:
		w.tell(store.ChatDelivered, c, by)
	case *mine != before:
		w.tell(store.ChatSettingsUpdated, c, by)
	}
}

func (w *model) delivered(by *person, c *talk, seq int64) {
	mine := c.places[by]
	if seq > mine.delivered {
		mine.delivered = seq
		w.tell(store.ChatDelivered, c, by)
	}
}

func (w *model) settings(by *person, c *talk, s chat.Settings) {
	mine := c.places[by]
	before := *mine
	if s.MutedUntil != nil {
		mine.muted = time.Time{}
		if s.MutedUntil.After(w.now) {
			mine.muted = *s.MutedUntil
		}
	}
	if s.Archived != nil {
		mine.archived = *s.Archived
	}
	if s.MarkedUnread != nil {
		mine.unread = *s.MarkedUnread
	}
	if *mine != before {
		w.tell(store.ChatSettingsUpdated, c, by)
	}
}

// mutedUntil is what a mute is worth now.
func (w *model) mutedUntil(mine *place) time.Time {
	if mine.muted.After(w.now) {
		return mine.muted
	}
	return time.Time{}
}

func (w *model) unread(p *person) (u chat.Unread) {
	for _, c := range w.chatsOf(p, func(*talk) bool { return true }) {
		mine := c.places[p]
		behind := c.LastSeq - mine.read
		switch {
		case behind == 0 && !mine.unread:
		case w.mutedUntil(mine).IsZero():
			u.Chats, u.Messages = u.Chats+1, u.Messages+behind
		default:
			u.MutedChats, u.MutedMessages = u.MutedChats+1, u.MutedMessages+behind
		}
	}
	return u
}

// Messages.

// sees tells whether somebody sees a message.
func (w *model) sees(p *person, m *said) bool { return m != nil && m.in.has(p) && !m.hidden[p] }

func (w *model) seeRefusal(p *person, m *said) refusal {
	if !w.sees(p, m) {
		return because.noMessage
	}
	return refusal{}
}

// replayed is what was sent under a key before, or nil.
func (w *model) replayed(by *person, key string) *said {
	m := w.keys[keyOf{by, key}]
	if key == "" || m == nil || m.in.swept {
		return nil
	}
	return m
}

// sendRefusal is for a chat that is there.
func (w *model) sendRefusal(by *person, c *talk, replyTo *said, replies bool) refusal {
	switch {
	case !c.has(by):
		return notAParticipant
	case replies && (!w.sees(by, replyTo) || replyTo.in != c || !replyTo.deleted.IsZero()):
		return because.noReply
	case w.blockedIn(c, by):
		return because.blocked
	}
	return refusal{}
}

// say adds a message; its id is for the caller to set.
func (w *model) say(by *person, c *talk, text string) *said {
	c.LastSeq++
	c.ActiveAt = w.now
	m := &said{in: c, seq: c.LastSeq, by: by, text: text, at: w.now, hidden: map[*person]bool{}}
	m.mentions = w.mentions(c, text)
	c.said = append(c.said, m)
	w.said = append(w.said, m)
	mine := c.places[by]
	mine.read, mine.delivered, mine.unread = c.LastSeq, c.LastSeq, false
	w.tell(store.MessageCreated, c, nil)
	return m
}

func (m *said) reply(to *said) {
	m.replyTo, m.thread = to, to
	if to.thread != nil {
		m.thread = to.thread
	}
	m.thread.replies++
}

// mentions finds the words of a text that name somebody.
func (w *model) mentions(c *talk, text string) (found []store.Mention) {
	at := 0
	for word := range strings.SplitSeq(text, " ") {
		length := len([]rune(word))
		if name, ok := strings.CutPrefix(word, "@"); ok {
			if p := w.named(name); p != nil && c.has(p) {
				found = append(found, store.Mention{Start: at, Length: length, UserID: p.UserID})
			}
		}
		at += length + 1
	}
	return found
}

// answerRefusal is for what one adds to a message.
func (w *model) answerRefusal(by *person, m *said) refusal {
	switch {
	case !w.sees(by, m):
		return because.noMessage
	case w.blockedIn(m.in, by):
		return because.blocked
	case !m.deleted.IsZero():
		return because.deleted
	}
	return refusal{}
}

func (w *model) editRefusal(by *person, m *said) refusal {
	switch {
	case !w.sees(by, m):
		return because.noMessage
	case m.by != by:
		return because.notSender
	}
	if refused := w.answerRefusal(by, m); refused != (refusal{}) {
		return refused
	}
	if m.poll != nil {
		return refusal{chat.Invalid, "message_is_poll", ""}
	}
	return refusal{}
}

func (w *model) edit(m *said, text string) {
	if m.text == text {
		return
	}
	written := m.at
	if !m.edited.IsZero() {
		written = m.edited
	}
	m.versions = append(m.versions, chat.Edit{Version: int64(len(m.versions) + 1), Text: m.text, CreatedAt: written})
	m.text, m.edited, m.mentions = text, w.now, w.mentions(m.in, text)
	w.tell(store.MessageEdited, m.in, nil)
}

func (w *model) deleteMessageRefusal(by *person, m *said) refusal {
	switch {
	case !w.sees(by, m):
		return because.noMessage
	case m.by != by && !m.in.isAdmin(by):
		return because.notSender
	}
	return refusal{}
}

func (w *model) deleteMessage(m *said) {
	if !m.deleted.IsZero() {
		return
	}
	m.text, m.mentions, m.versions, m.reactions, m.poll = "", nil, nil, nil, nil
	m.edited, m.deleted = time.Time{}, w.now
	w.tell(store.MessageDeleted, m.in, nil)
}

func (w *model) hide(by *person, m *said) {
	m.hidden[by] = true
	w.tell(store.MessageHidden, m.in, by)
}

// visible are the messages of a chat that somebody sees.
func (w *model) visible(p *person, c *talk) []*said {
	return slices.DeleteFunc(slices.Clone(c.said), func(m *said) bool { return !w.sees(p, m) })
}

// Reactions and polls.

func (m *said) reaction(by *person, emoji string) int {
	return slices.IndexFunc(m.reactions, func(r reacted) bool { return r.by == by && r.emoji == emoji })
}

func (w *model) react(by *person, m *said, emoji string) {
	if m.reaction(by, emoji) < 0 {
		m.reactions = append(m.reactions, reacted{by, emoji, w.now})
		w.tell(store.ReactionAdded, m.in, nil)
	}
}

func (w *model) unreactRefusal(by *person, m *said) refusal {
	switch {
	case !w.sees(by, m):
		return because.noMessage
	case !m.deleted.IsZero():
		return because.deleted
	}
	return refusal{}
}

func (w *model) unreact(by *person, m *said, emoji string) {
	if i := m.reaction(by, emoji); i >= 0 {
		m.reactions = slices.Delete(m.reactions, i, i+1)
		w.tell(store.ReactionRemoved, m.in, nil)
	}
}

// counts are the reactions to a message, as somebody sees them.
func (m *said) counts(p *person) (found []chat.ReactionCount) {
	for _, r := range m.reactions {
		i := slices.IndexFunc(found, func(c chat.ReactionCount) bool { return c.Emoji == r.emoji })
		if i < 0 {
			i = len(found)
			found = append(found, chat.ReactionCount{Emoji: r.emoji})
		}
		found[i].Count++
		found[i].Me = found[i].Me || r.by == p
	}
	return found
}

func (w *model) pollRefusal(by *person, m *said) refusal {
	switch {
	case !w.sees(by, m):
		return because.noMessage
	case w.blockedIn(m.in, by):
		return because.blocked
	case m.poll == nil: // as in one that has been deleted
		return because.noPoll
	}
	return refusal{}
}

func (w *model) voteRefusal(by *person, m *said, choices []int) refusal {
	if refused := w.pollRefusal(by, m); refused != (refusal{}) {
		return refused
	}
	distinct := map[int]bool{}
	for _, choice := range choices {
		distinct[choice] = true
	}
	switch {
	case m.poll.closed(w.now):
		return refusal{chat.Invalid, "poll_closed", ""}
	case slices.ContainsFunc(choices, func(i int) bool { return i < 0 || i >= len(m.poll.options) }):
		return refusal{chat.Invalid, "poll_option_invalid", "options"}
	case len(distinct) > 1 && !m.poll.multiple:
		return refusal{chat.Invalid, "poll_single_choice", "options"}
	}
	return refusal{}
}

func (w *model) vote(by *person, m *said, choices []int) {
	changed := false
	for i := range m.poll.options {
		switch {
		case slices.Contains(choices, i) == m.poll.chosen(by, i):
			continue
		case slices.Contains(choices, i):
			m.poll.votes = append(m.poll.votes, vote{by, i, w.now})
		default:
			m.poll.votes = slices.DeleteFunc(m.poll.votes, func(v vote) bool { return v.by == by && v.choice == i })
		}
		changed = true
	}
	if changed {
		w.tell(store.PollVoted, m.in, nil)
	}
}

func (w *model) closeRefusal(by *person, m *said) refusal {
	refused := w.pollRefusal(by, m)
	if refused == (refusal{}) && m.by != by && !m.in.isAdmin(by) {
		return because.notSender
	}
	return refused
}

func (w *model) closePoll(m *said) {
	if !m.poll.closed(w.now) {
		m.poll.closes = w.now
		w.tell(store.PollClosed, m.in, nil)
	}
}

// standing is how a poll stands, as somebody sees it.
func (w *model) standing(a *asked, p *person) chat.Poll {
	shown := chat.Poll{Multiple: a.multiple, Anonymous: a.anonymous, ClosesAt: a.closes, Closed: a.closed(w.now)}
	voters := map[*person]bool{}
	for i, text := range a.options {
		option := store.PollOption{Text: text, Me: a.chosen(p, i)}
		for _, v := range a.votes {
			if v.choice == i {
				option.Votes++
				voters[v.by] = true
			}
		}
		shown.Options = append(shown.Options, option)
	}
	shown.Voters = len(voters)
	return shown
}

// Blocks and accounts.

func (w *model) blockRefusal(by, whom *person) refusal {
	switch whom {
	case nil:
		return refusal{chat.NotFound, "user_not_found", ""}
	case by:
		return refusal{chat.Invalid, "cannot_block_self", "username"}
	}
	return refusal{}
}

func (w *model) unblockRefusal(by, whom *person) refusal {
	switch {
	case whom == nil:
		return refusal{chat.NotFound, "user_not_found", ""}
	case !w.blocks[[2]*person{by, whom}]:
		return refusal{chat.NotFound, "not_blocked", ""}
	}
	return refusal{}
}

func (w *model) block(by, whom *person) {
	if b := [2]*person{by, whom}; !w.blocks[b] {
		w.blocks[b] = true
		w.tell(store.BlockCreated, nil, by)
	}
}

func (w *model) unblock(by, whom *person) {
	delete(w.blocks, [2]*person{by, whom})
	w.tell(store.BlockRemoved, nil, by)
}

// changeProfile tells only of what has changed.
func (w *model) changeProfile(p *person, displayName string, unseen bool) {
	if displayName != p.displayName {
		for _, c := range w.chatsByID(p) {
			w.tell(store.UserUpdated, c, p)
		}
	}
	if displayName != p.displayName || unseen != p.unseen {
		w.tell(store.AccountUpdated, nil, p)
	}
	p.displayName, p.unseen = displayName, unseen
}

func (w *model) chatsByID(p *person) []*talk {
	return slices.DeleteFunc(slices.Clone(w.talks), func(c *talk) bool { return !c.has(p) })
}

// watches tells whether somebody may know when another is there.
func (w *model) watches(p, whom *person) bool {
	return !whom.gone && !whom.unseen && !w.blocks[[2]*person{p, whom}] && !w.blocks[[2]*person{whom, p}] &&
		slices.ContainsFunc(w.talks, func(c *talk) bool { return c.has(p) && c.has(whom) })
}

// concerns tells whether somebody is to hear of what happened, as things are now.
func (w *model) concerns(p *person, t told) bool {
	forChat := func() bool {
		return slices.ContainsFunc(w.talks, func(c *talk) bool { return c.ID == t.chat && c.has(p) })
	}
	switch t.what {
	case store.MessageHidden, store.ChatSettingsUpdated, store.ChatDeleted, store.BlockCreated, store.BlockRemoved, store.AccountUpdated:
		return t.user == p.UserID
	case store.ParticipantRemoved:
		return t.user == p.UserID || forChat()
	}
	return forChat()
}

// deleteAccount takes somebody away. What they have said stays.
func (w *model) deleteAccount(p *person) {
	for _, c := range w.talks { // in the order of their ids
		if c.has(p) && c.isGroup() {
			w.leave(p, c, p)
			for _, i := range w.invites {
				i.revoked = i.revoked || i.in == c && i.by == p
			}
		}
	}
	for _, c := range w.chatsByID(p) {
		w.tell(store.UserUpdated, c, p)
	}
	maps.DeleteFunc(w.blocks, func(b [2]*person, _ bool) bool { return b[0] == p || b[1] == p })
	for _, c := range w.talks {
		for _, m := range c.said {
			if m.by == p {
				m.key = "" // it was theirs alone
			}
		}
	}
	p.gone = true
}
