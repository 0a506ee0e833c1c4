package chat_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

// Whatever people do, in whatever order: the rules answer, refuse, tell and show
// what the model says.
func TestRulesAgainstModel(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		var w *model
		r.SetClock(func() time.Time { return w.now })
		// One database for all runs: what others have done in it before must not
		// show.
		rapid.Check(t, func(t *rapid.T) {
			w = &model{now: noon, blocks: map[[2]*person]bool{}, keys: map[keyOf]*said{}, answers: map[keyOf]any{}}
			g := &game{rules: r, model: w}
			g.begin(t)
			actions := map[string]func(*rapid.T){
				"":                 g.requireTold,
				"make group":       g.makeGroup,
				"add":              g.addSomebody,
				"remove":           g.removeSomebody,
				"leave":            g.leaveGroup,
				"give role":        g.giveSomeRole,
				"join":             g.joinGroup,
				"change group":     g.changeGroup,
				"invite":           g.inviteSomebody,
				"revoke invite":    g.revokeSomeInvite,
				"accept invite":    g.acceptSomeInvite,
				"send":             g.sendToChat,
				"send to person":   g.sendToPerson,
				"send several":     g.sendSeveral,
				"edit":             g.editSomething,
				"delete message":   g.deleteSomething,
				"hide":             g.hideSomething,
				"react":            g.reactToSomething,
				"unreact":          g.unreactToSomething,
				"vote":             g.voteForSomething,
				"close poll":       g.closeSomePoll,
				"read":             g.readChat,
				"delivered":        g.deliverChat,
				"settings":         g.changeSettings,
				"block":            g.blockSomebody,
				"unblock":          g.unblockSomebody,
				"change profile":   g.changeSomeProfile,
				"open chat":        g.openChat,
				"delete chat":      g.deleteSomeChat,
				"delete account":   g.deleteSomeAccount,
				"sweep":            g.sweepAway,
				"look at chats":    g.lookAtChats,
				"look":             g.lookSomewhere,
				"look at messages": g.lookAtSomeMessages,
				"look at the feed": func(t *rapid.T) { g.lookAtFeed(t, g.anyone(t)) },
			}
			for range 3 { // else there are few commands of each kind in a run
				t.Repeat(actions)
			}
			for _, p := range w.alive() {
				g.lookAtAll(t, p)
				g.lookAtFeed(t, p)
			}
		})
	})
}

// noon is when each run begins.
var noon = time.Date(2021, 10, 30, 12, 0, 0, 0, time.UTC)

// nowhere is an id that nothing has.
const nowhere = 1 << 40

// game plays on the rules and on the model alike.
type game struct {
	*rules
	*model
}

// begin is a world in which most things can be done: people, a group of theirs
// that they manage and a public one that its admins do, two who talk, and a
// message and a poll.
func (g *game) begin(t *rapid.T) {
	g.committed()
	for range rapid.IntRange(4, 6).Draw(t, "people") {
		g.persons = append(g.persons, &person{Caller: g.person(t)})
	}
	owner := g.persons[0]
	for _, n := range []chat.NewGroup{{}, {Visibility: store.Public, ManagedBy: store.ByAdmins}} {
		group, err := g.CreateGroup(t.Context(), owner.Caller, n)
		require.NoError(t, err)
		c := g.addTalk(exported(group.Chat), store.Owner, owner)
		for _, p := range []*person{g.persons[3], g.persons[2], g.persons[1]} { // not by their ids
			g.now = g.now.Add(time.Second)
			_, err := g.AddParticipant(t.Context(), owner.Caller, c.ID, p.Username, "")
			require.NoError(t, err)
			g.add(c, p)
		}
		g.sent(t, owner, c, chat.Draft{ChatID: c.ID, Text: "What next?", Poll: &chat.NewPoll{Options: []string{"a", "b", "c"}}})
	}
	public := g.talks[1]
	for _, p := range g.persons[1:3] {
		_, err := g.SetRole(t.Context(), owner.Caller, public.ID, p.Username, store.Admin)
		require.NoError(t, err)
		g.setRole(public, p, store.Admin)
	}
	e, err := g.OpenChat(t.Context(), owner.Caller, g.persons[1].Username)
	require.NoError(t, err)
	c := g.addDirect(e.ID, owner, g.persons[1])
	g.sent(t, owner, c, chat.Draft{ChatID: c.ID, Text: "hello"})
	g.sent(t, g.persons[1], c, chat.Draft{ChatID: c.ID, Text: "hello"})
}

// sent sends what nothing speaks against.
func (g *game) sent(t *rapid.T, by *person, c *talk, d chat.Draft) {
	m, err := g.Send(t.Context(), by.Caller, d)
	require.NoError(t, err)
	g.takeOver(t, by, c, d, nil, m)
}

// takeOver has the model know of a message that has been sent.
func (g *game) takeOver(t *rapid.T, by *person, c *talk, d chat.Draft, replyTo *said, m chat.Message) {
	s := g.say(by, c, d.Text)
	s.id, s.key = m.ID, d.ClientID
	if d.ClientID != "" {
		g.keys[keyOf{by, d.ClientID}] = s
	}
	if d.Poll != nil {
		s.poll = &asked{options: d.Poll.Options, multiple: d.Poll.Multiple, anonymous: d.Poll.Anonymous}
		if d.Poll.ClosesIn > 0 {
			s.poll.closes = g.now.Add(d.Poll.ClosesIn)
		}
	}
	if replyTo != nil {
		s.reply(replyTo)
	}
	require.Equal(t, g.shown(s, by), plain(m))
}

// requireTold compares what clients were told with what they should be told. Now
// and then, more of it is told at another time.
func (g *game) requireTold(t *rapid.T) {
	var events []told
	for _, e := range g.committed() {
		if g.first == 0 {
			g.first = e.ID
		}
		events = append(events, told{e.Type, e.ChatID, e.UserID})
	}
	require.Equal(t, g.heard, events)
	g.log = append(g.log, g.heard...)
	g.heard = nil
	if oneIn(t, 3, "time goes by") {
		g.now = g.now.Add(20 * time.Second)
	}
}

// agree tells whether the rules took what they should, and refused what they
// should.
func agree(t *rapid.T, want refusal, err error) bool {
	if want == (refusal{}) {
		require.NoError(t, err)
		return true
	}
	requireRefusal(t, want, err)
	return false
}

// What is drawn.

func pick[T any](t *rapid.T, from []T, label string) T {
	return from[rapid.IntRange(0, len(from)-1).Draw(t, label)]
}

// one in n.
func oneIn(t *rapid.T, n int, label string) bool {
	return rapid.IntRange(1, n).Draw(t, label) == n
}

func (g *game) anyone(t *rapid.T) *person { return pick(t, g.alive(), "who") }

// somebody is, more often than not, somebody of a chat.
func (g *game) somebody(t *rapid.T, c *talk) *person {
	if c == nil || len(c.places) == 0 || oneIn(t, 8, "outsider") {
		return g.anyone(t)
	}
	inside := slices.DeleteFunc(c.byID(), func(p *person) bool { return p.gone })
	if len(inside) == 0 {
		return g.anyone(t)
	}
	return pick(t, inside, "who of them")
}

// username is one that somebody has or has had, or that nobody has.
func (g *game) username(t *rapid.T) string {
	if oneIn(t, 10, "nobody") {
		return "nobody"
	}
	return pick(t, g.persons, "whom").Username
}

// nameOrID is a username, or an id in place of it, and who has it.
func (g *game) nameOrID(t *rapid.T) (string, *person) {
	if name := g.username(t); oneIn(t, 2, "by name") {
		return name, g.named(name)
	}
	p := pick(t, g.persons, "whom, by id")
	return strconv.FormatInt(p.UserID, 10), p
}

// someTalk is a chat or, now and then, none: its id is nowhere.
func (g *game) someTalk(t *rapid.T) (*talk, int64) {
	if oneIn(t, 20, "no chat") {
		return nil, nowhere
	}
	talks := g.talks
	if !oneIn(t, 5, "deleted, too") {
		talks = slices.DeleteFunc(slices.Clone(talks), func(c *talk) bool { return c.deleted })
	}
	if len(talks) == 0 {
		return nil, nowhere
	}
	c := pick(t, talks, "chat")
	return c, c.ID
}

// someSaid is a message or, now and then, none: its id is nowhere.
func (g *game) someSaid(t *rapid.T) (*said, int64) {
	if oneIn(t, 20, "no message") {
		return nil, nowhere
	}
	all := g.said
	if !oneIn(t, 5, "deleted, too") {
		all = slices.DeleteFunc(slices.Clone(all), func(m *said) bool { return m.in.deleted || !m.deleted.IsZero() })
	}
	if len(all) == 0 {
		return nil, nowhere
	}
	m := pick(t, all, "message")
	return m, m.id
}

// someSaidBy is a message, and somebody who does something with it.
func (g *game) someSaidBy(t *rapid.T) (*person, *said, int64) {
	m, id := g.someSaid(t)
	if m == nil {
		return g.anyone(t), nil, id
	}
	if !m.by.gone && oneIn(t, 3, "its sender") {
		return m.by, m, id
	}
	return g.somebody(t, m.in), m, id
}

// text may name people.
func (g *game) text(t *rapid.T) string {
	text := pick(t, []string{"hi", "Добрий день 👋", "one\ntwo", "a@b.c"}, "text")
	for range rapid.IntRange(0, 2).Draw(t, "names") {
		text += " @" + g.username(t) + " " + pick(t, []string{"", "…", "x"}, "more")
	}
	return text
}

// Groups.

func (g *game) makeGroup(t *rapid.T) {
	by := g.anyone(t)
	n := chat.NewGroup{
		Title: pick(t, []string{"", "title"}, "title"), Description: pick(t, []string{"", "about it"}, "description"),
		Visibility: pick(t, []string{"", store.Public, store.Private}, "visibility"),
		ManagedBy:  pick(t, []string{"", store.ByAdmins, store.ByMembers}, "managed by"),
		Key:        someKey(t),
	}
	group, err := g.CreateGroup(t.Context(), by.Caller, n)
	if before, ok := g.answered(by, n.Key); ok {
		agreeOnce(t, before, plainGroup(group), err)
		return
	}
	require.NoError(t, err)
	c := g.addTalk(chat.Chat{
		ID: group.ID, Kind: store.GroupChat, Title: n.Title, Description: n.Description,
		Visibility: cmp.Or(n.Visibility, store.Private), ManagedBy: cmp.Or(n.ManagedBy, store.ByMembers),
		CreatedAt: g.now, ActiveAt: g.now,
	}, store.Owner, by)
	require.Equal(t, g.group(c, by), plainGroup(group))
	g.answer(by, n.Key, g.group(c, by))
}

func (g *game) addSomebody(t *rapid.T) {
	c, id := g.someTalk(t)
	by, name := g.somebody(t, c), g.username(t)
	p, err := g.AddParticipant(t.Context(), by.Caller, id, name, "")
	if agree(t, g.addRefusal(by, c, name), err) {
		g.add(c, g.named(name))
		require.Equal(t, g.participant(c, g.named(name)), bare(p)[0])
	}
}

func (g *game) removeSomebody(t *rapid.T) {
	c, id := g.someTalk(t)
	by := g.somebody(t, c)
	name, who := g.nameOrID(t)
	err := g.RemoveParticipant(t.Context(), by.Caller, id, name)
	if agree(t, g.removeRefusal(by, c, who), err) {
		g.remove(by, c, who)
	}
}

func (g *game) leaveGroup(t *rapid.T) {
	c, id := g.someTalk(t)
	by := g.somebody(t, c)
	err := g.RemoveParticipant(t.Context(), by.Caller, id, by.Username)
	if agree(t, g.removeRefusal(by, c, by), err) {
		g.leave(by, c, by)
	}
}

func (g *game) giveSomeRole(t *rapid.T) {
	c, id := g.someTalk(t)
	by := g.somebody(t, c)
	name, who := g.nameOrID(t)
	role := pick(t, []string{store.Owner, store.Admin, store.Member}, "role")
	p, err := g.SetRole(t.Context(), by.Caller, id, name, role)
	if agree(t, g.roleRefusal(by, c, who, role), err) {
		g.giveRole(by, c, who, role)
		require.Equal(t, g.participant(c, who), bare(p)[0])
	}
}

func (g *game) joinGroup(t *rapid.T) {
	c, id := g.someTalk(t)
	by := g.anyone(t)
	group, err := g.JoinGroup(t.Context(), by.Caller, id, "")
	if agree(t, g.joinRefusal(by, c), err) {
		g.join(by, c)
		require.Equal(t, g.group(c, by), plainGroup(group))
	}
}

func (g *game) changeGroup(t *rapid.T) {
	c, id := g.someTalk(t)
	by := g.somebody(t, c)
	maybe := func(label string, values ...string) *string {
		if !oneIn(t, 2, label+" given") {
			return nil
		}
		value := pick(t, values, label)
		return &value
	}
	change := chat.GroupChange{
		Title: maybe("title", "", "new"), Description: maybe("description", "", "new"),
		Visibility: maybe("visibility", store.Public, store.Private), ManagedBy: maybe("managed by", store.ByAdmins, store.ByMembers),
	}
	group, err := g.UpdateGroup(t.Context(), by.Caller, id, change)
	if agree(t, g.changeRefusal(by, c, change), err) {
		g.change(c, change)
		require.Equal(t, g.group(c, by), plainGroup(group))
	}
}

// someInvite is an invite or, now and then, none.
func (g *game) someInvite(t *rapid.T) *invited {
	if len(g.invites) == 0 || oneIn(t, 20, "no invite") {
		return nil
	}
	return pick(t, g.invites, "invite")
}

func (g *game) inviteSomebody(t *rapid.T) {
	c, id := g.someTalk(t)
	by := g.somebody(t, c)
	n := chat.NewInvite{
		ExpiresIn: pick(t, []time.Duration{0, time.Minute, time.Hour}, "expires in"), MaxUses: rapid.IntRange(0, 2).Draw(t, "uses"),
		Key: someKey(t),
	}
	made, err := g.CreateInvite(t.Context(), by.Caller, id, n)
	if before, ok := g.answered(by, n.Key); ok {
		if i, ok := before.(chat.Invite); ok && i.ChatID != id {
			before = nil // to another chat is something else
		}
		agreeOnce(t, before, plainInvite(made), err)
		return
	}
	if !agree(t, g.inviteRefusal(by, c), err) {
		return
	}
	i := &invited{id: int(made.ID), token: made.Token, in: c, by: by, at: g.now, max: n.MaxUses}
	if n.ExpiresIn > 0 {
		i.expires = g.now.Add(n.ExpiresIn)
	}
	g.invites = append(g.invites, i)
	want := g.invite(i)
	want.Token = made.Token
	require.NotEmpty(t, made.Token)
	require.Equal(t, want, plainInvite(made))
	g.answer(by, n.Key, want)
}

func (g *game) revokeSomeInvite(t *rapid.T) {
	c, id := g.someTalk(t)
	i, inviteID := g.someInvite(t), int64(nowhere)
	if i != nil {
		inviteID = int64(i.id)
		if !oneIn(t, 4, "any chat") {
			c, id = i.in, i.in.ID
		}
	}
	by := g.somebody(t, c)
	refused := g.inviteRefusal(by, c)
	if refused == (refusal{}) && (i == nil || i.in != c || !g.isLive(i)) {
		refused = because.noInvite
	}
	err := g.RevokeInvite(t.Context(), by.Caller, id, inviteID)
	if agree(t, refused, err) {
		i.revoked = true
	}
}

func (g *game) acceptSomeInvite(t *rapid.T) {
	i, token := g.someInvite(t), "no token"
	if i != nil {
		token = i.token
	}
	by := g.anyone(t)
	found, err := g.InvitedTo(t.Context(), by.Caller, token)
	if i == nil || !g.isLive(i) {
		requireRefusal(t, because.noInvite, err)
	} else {
		require.NoError(t, err)
		require.Equal(t, g.group(i.in, by), plainGroup(found))
	}
	group, err := g.AcceptInvite(t.Context(), by.Caller, token, "")
	if agree(t, g.acceptRefusal(by, i), err) {
		g.accept(by, i)
		require.Equal(t, g.group(i.in, by), plainGroup(group))
	}
}

// Idempotency keys of what is no message.

func someKey(t *rapid.T) string { return pick(t, []string{"", "", "", "key 1", "key 2"}, "key") }

// answered is what a key was answered with before.
func (g *game) answered(by *person, key string) (any, bool) {
	before, ok := g.answers[keyOf{by, key}]
	return before, ok
}

// answer keeps what a key is answered with, if there is one.
func (g *game) answer(by *person, key string, with any) {
	if key != "" {
		g.answers[keyOf{by, key}] = with
	}
}

// agreeOnce is agree for a key that has been used: for the same, or else.
func agreeOnce[T any](t *rapid.T, before any, got T, err error) {
	if same, ok := before.(T); ok {
		require.NoError(t, err)
		require.Equal(t, same, got)
		return
	}
	requireRefusal(t, refusal{chat.Invalid, "idempotency_key_reused", "Idempotency-Key"}, err)
}

// Messages.

// draft is all of a message but whom it goes to.
func (g *game) draft(t *rapid.T, c *talk) (d chat.Draft, replyTo *said) {
	d.Text = g.text(t)
	if oneIn(t, 3, "reply") {
		replyTo, d.ReplyTo = g.someSaid(t)
		if c != nil && len(c.said) > 0 && !oneIn(t, 5, "to any chat") {
			replyTo = pick(t, c.said, "reply to")
			d.ReplyTo = replyTo.id
		}
	}
	if oneIn(t, 4, "poll") {
		d.Poll = &chat.NewPoll{
			Options: []string{"yes", "так", "是"}[:rapid.IntRange(2, 3).Draw(t, "options")],
			// In a minute it is closed by itself.
			ClosesIn: pick(t, []time.Duration{0, 0, 30 * time.Second, time.Hour}, "closes in"),
			Multiple: oneIn(t, 2, "multiple"), Anonymous: oneIn(t, 3, "anonymous"),
		}
	}
	d.ClientID = someKey(t)
	return d, replyTo
}

// requireReplayed tells whether a key has been used before, when nothing is sent.
func (g *game) requireReplayed(t *rapid.T, by *person, d chat.Draft) bool {
	before := g.replayed(by, d.ClientID)
	if before == nil {
		return false
	}
	m, err := g.Send(t.Context(), by.Caller, d)
	require.NoError(t, err)
	require.Equal(t, g.shownAgain(before, by), plain(m))
	return true
}

func (g *game) sendToChat(t *rapid.T) {
	c, id := g.someTalk(t)
	by := g.somebody(t, c)
	d, replyTo := g.draft(t, c)
	d.ChatID = id
	if g.requireReplayed(t, by, d) {
		return
	}
	m, err := g.Send(t.Context(), by.Caller, d)
	if agree(t, g.sendRefusal(by, c, replyTo, d.ReplyTo != 0), err) {
		g.takeOver(t, by, c, d, replyTo, m)
	}
}

// The first message to somebody opens the chat, unless it is refused.
func (g *game) sendToPerson(t *rapid.T) {
	by, name := g.anyone(t), g.username(t)
	to := g.named(name)
	var c *talk
	if to != nil {
		c = g.direct(by, to)
	}
	d, replyTo := g.draft(t, c)
	d.To = name
	if g.requireReplayed(t, by, d) {
		return
	}
	refused := refusal{}
	switch {
	case to == nil:
		refused = noSuchDest
	case c != nil:
		refused = g.sendRefusal(by, c, replyTo, d.ReplyTo != 0)
	case d.ReplyTo != 0:
		refused = because.noReply
	case g.blocks[[2]*person{to, by}]:
		refused = because.blocked
	}
	m, err := g.Send(t.Context(), by.Caller, d)
	if !agree(t, refused, err) {
		return
	}
	if c == nil {
		c = g.addDirect(m.ChatID, by, to)
	}
	g.takeOver(t, by, c, d, replyTo, m)
}

func (g *game) sendSeveral(t *rapid.T) {
	c, id := g.someTalk(t)
	by := g.somebody(t, c)
	var texts []string
	for range rapid.IntRange(1, 4).Draw(t, "messages") {
		texts = append(texts, g.text(t))
	}
	key := someKey(t)
	sent, err := g.SendAll(t.Context(), by.Caller, chat.Draft{ChatID: id, ClientID: key}, texts)
	if before, ok := g.answered(by, key); ok {
		again, _ := before.([]*said)
		if again != nil && again[0].in.swept {
			return
		}
		agreeOnce(t, before, again, err)
		for i, m := range again {
			require.Equal(t, g.shownAgain(m, by), plain(sent[i]))
		}
		return
	}
	if !agree(t, g.sendRefusal(by, c, nil, false), err) {
		return
	}
	require.Len(t, sent, len(texts))
	var all []*said
	for i, text := range texts {
		m := g.say(by, c, text)
		m.id = sent[i].ID
		require.Equal(t, g.shown(m, by), plain(sent[i]))
		all = append(all, m)
	}
	g.answer(by, key, all)
}

func (g *game) editSomething(t *rapid.T) {
	by, m, id := g.someSaidBy(t)
	text := g.text(t)
	if m != nil && m.text != "" && oneIn(t, 5, "the same") {
		text = m.text
	}
	got, err := g.EditMessage(t.Context(), by.Caller, id, text)
	if agree(t, g.editRefusal(by, m), err) {
		g.edit(m, text)
		require.Equal(t, g.shownWithReaders(m, by), bareMessage(got))
	}
}

func (g *game) deleteSomething(t *rapid.T) {
	by, m, id := g.someSaidBy(t)
	err := g.DeleteMessage(t.Context(), by.Caller, id)
	if agree(t, g.deleteMessageRefusal(by, m), err) {
		g.deleteMessage(m)
	}
}

func (g *game) hideSomething(t *rapid.T) {
	by, m, id := g.someSaidBy(t)
	err := g.HideMessage(t.Context(), by.Caller, id)
	if agree(t, g.seeRefusal(by, m), err) {
		g.model.hide(by, m)
	}
}

// Reactions and polls.

var emojis = map[string]string{"👍": "👍", "like": "👍", "🎉": "🎉", "👩‍🚀": "👩‍🚀"}

func someEmoji(t *rapid.T) string {
	return pick(t, []string{"👍", "like", "🎉", "👩‍🚀", "no emoji"}, "emoji")
}

func (g *game) reactToSomething(t *rapid.T) {
	by, m, id := g.someSaidBy(t)
	emoji := someEmoji(t)
	_, err := g.React(t.Context(), by.Caller, id, emoji)
	refused := g.answerRefusal(by, m)
	if emojis[emoji] == "" {
		refused = refusal{chat.Invalid, "emoji_invalid", "emoji"}
	}
	if agree(t, refused, err) {
		g.react(by, m, emojis[emoji])
	}
}

func (g *game) unreactToSomething(t *rapid.T) {
	by, m, id := g.someSaidBy(t)
	emoji := someEmoji(t)
	if m != nil && len(m.reactions) > 0 && oneIn(t, 2, "one that is there") {
		r := pick(t, m.reactions, "reaction")
		if emoji = r.emoji; !r.by.gone {
			by = r.by
		}
	}
	err := g.Unreact(t.Context(), by.Caller, id, emoji)
	refused := g.unreactRefusal(by, m)
	if emojis[emoji] == "" {
		refused = refusal{chat.Invalid, "emoji_invalid", "emoji"}
	}
	if agree(t, refused, err) {
		g.unreact(by, m, emojis[emoji])
	}
}

// somePoll is, more often than not, a message with a poll.
func (g *game) somePoll(t *rapid.T) (*person, *said, int64) {
	polls := slices.DeleteFunc(slices.Clone(g.said), func(m *said) bool { return m.poll == nil || m.in.deleted })
	if len(polls) == 0 || oneIn(t, 5, "any message") {
		return g.someSaidBy(t)
	}
	m := pick(t, polls, "poll")
	return g.somebody(t, m.in), m, m.id
}

func (g *game) voteForSomething(t *rapid.T) {
	by, m, id := g.somePoll(t)
	choices := rapid.SliceOfN(rapid.IntRange(0, 2), 0, 3).Draw(t, "choices")
	if oneIn(t, 20, "no such option") {
		choices = append(choices, pick(t, []int{-1, 3}, "option"))
	}
	poll, err := g.Vote(t.Context(), by.Caller, id, choices)
	if agree(t, g.voteRefusal(by, m, choices), err) {
		g.vote(by, m, choices)
		require.Equal(t, g.standing(m.poll, by), poll)
	}
}

func (g *game) closeSomePoll(t *rapid.T) {
	by, m, id := g.somePoll(t)
	poll, err := g.ClosePoll(t.Context(), by.Caller, id)
	if agree(t, g.closeRefusal(by, m), err) {
		g.closePoll(m)
		require.Equal(t, g.standing(m.poll, by), poll)
	}
}

// Chats, and how far they are read.

func (g *game) readChat(t *rapid.T) {
	c, id := g.someTalk(t)
	by := g.somebody(t, c)
	var seq *int64
	last := int64(0)
	if c != nil {
		last = c.LastSeq
	}
	upTo := last
	if oneIn(t, 2, "up to a message") {
		upTo = rapid.Int64Range(-1, last+1).Draw(t, "seq")
		seq = &upTo
	}
	marks, err := g.Read(t.Context(), by.Caller, id, seq)
	if agree(t, g.watermarkRefusal(by, c, upTo), err) {
		g.read(by, c, upTo)
		require.Equal(t, marksOf(c, by), marks)
	}
}

func (g *game) deliverChat(t *rapid.T) {
	c, id := g.someTalk(t)
	by := g.somebody(t, c)
	last := int64(0)
	if c != nil {
		last = c.LastSeq
	}
	seq := rapid.Int64Range(-1, last+1).Draw(t, "seq")
	marks, err := g.Delivered(t.Context(), by.Caller, id, seq)
	if agree(t, g.watermarkRefusal(by, c, seq), err) {
		g.delivered(by, c, seq)
		require.Equal(t, marksOf(c, by), marks)
	}
}

func marksOf(c *talk, p *person) chat.Watermarks {
	mine := c.places[p]
	return chat.Watermarks{
		ReadSeq: mine.read, DeliveredSeq: mine.delivered, Unread: c.LastSeq - mine.read, MarkedUnread: mine.unread,
	}
}

func (g *game) changeSettings(t *rapid.T) {
	c, id := g.someTalk(t)
	by := g.somebody(t, c)
	maybe := func(label string) *bool {
		if !oneIn(t, 2, label+" given") {
			return nil
		}
		value := oneIn(t, 2, label)
		return &value
	}
	s := chat.Settings{Archived: maybe("archived"), MarkedUnread: maybe("marked unread")}
	if oneIn(t, 2, "muted given") {
		until := pick(t, []time.Time{{}, g.now.Add(-time.Hour), g.now, g.now.Add(30 * time.Second), g.now.Add(time.Hour)}, "muted until")
		s.MutedUntil = &until
	}
	e, err := g.UpdateChatSettings(t.Context(), by.Caller, id, s)
	want := refusal{}
	if !c.has(by) {
		want = notAParticipant
	}
	if agree(t, want, err) {
		g.settings(by, c, s)
		require.Equal(t, g.entry(c, by), entry(e))
	}
}

func (g *game) openChat(t *rapid.T) {
	by, name := g.anyone(t), g.username(t)
	with := g.named(name)
	e, err := g.OpenChat(t.Context(), by.Caller, name)
	if !agree(t, g.openRefusal(by, with), err) {
		return
	}
	c := g.direct(by, with)
	if c == nil {
		c = g.addDirect(e.ID, by, with)
	}
	require.Equal(t, g.entry(c, by), entry(e))
}

func (g *game) deleteSomeChat(t *rapid.T) {
	if !oneIn(t, 2, "really") { // else there are soon few
		t.Skip("not now")
	}
	c, id := g.someTalk(t)
	by := g.somebody(t, c)
	asGroup, remove := oneIn(t, 2, "as a group"), g.DeleteChat
	if asGroup {
		remove = g.DeleteGroup
	}
	err := remove(t.Context(), by.Caller, id)
	if agree(t, g.deleteChatRefusal(by, c, asGroup), err) {
		g.deleteChat(c)
	}
}

func (g *game) sweepAway(t *rapid.T) {
	for more := true; more; {
		var err error
		more, err = g.Sweep(t.Context())
		require.NoError(t, err)
	}
	g.sweep()
}

// People.

func (g *game) blockSomebody(t *rapid.T) {
	by, name := g.anyone(t), g.username(t)
	whom := g.named(name)
	b, err := g.Block(t.Context(), by.Caller, name)
	if agree(t, g.blockRefusal(by, whom), err) {
		g.block(by, whom)
		require.Equal(t, whom.UserID, b.BlockedID)
	}
}

func (g *game) unblockSomebody(t *rapid.T) {
	by, name := g.anyone(t), g.username(t)
	whom := g.named(name)
	err := g.Unblock(t.Context(), by.Caller, name)
	if agree(t, g.unblockRefusal(by, whom), err) {
		g.unblock(by, whom)
	}
}

func (g *game) changeSomeProfile(t *rapid.T) {
	p := g.anyone(t)
	name, unseen := pick(t, []string{"", "Somebody", "Ü"}, "display name"), oneIn(t, 3, "hidden")
	presence := chat.PresenceVisible
	if unseen {
		presence = chat.PresenceHidden
	}
	u, err := g.UpdateMe(t.Context(), p.Caller, chat.Profile{DisplayName: &name, Presence: &presence})
	require.NoError(t, err)
	require.Equal(t, name, u.DisplayName)
	require.Equal(t, unseen, u.PresenceHidden)
	g.changeProfile(p, name, unseen)
}

func (g *game) deleteSomeAccount(t *rapid.T) {
	if len(g.alive()) <= 3 || !oneIn(t, 3, "really") {
		t.Skip("too few are left")
	}
	p := g.anyone(t)
	require.NoError(t, g.DeleteMe(t.Context(), p.Caller))
	g.deleteAccount(p)
}

// What is seen.

// lookSomewhere takes turns, so that more is done than looked at.
func (g *game) lookSomewhere(t *rapid.T) {
	pick(t, []func(*rapid.T){g.lookAtChats, g.lookAtSomeChat, g.lookAtGroups, g.lookAtHistories, g.lookAtInvites}, "where")(t)
}

// lookAtFeed asks what somebody has missed who comes back now, and whom they may
// watch.
func (g *game) lookAtFeed(t *rapid.T, p *person) {
	_, ids, err := g.Missed(t.Context(), p.UserID, g.first-1, math.MaxInt64, math.MaxInt32)
	require.NoError(t, err)
	require.True(t, slices.IsSorted(ids))
	events, err := g.EventsByID(t.Context(), ids)
	require.NoError(t, err)
	var want, got []told
	for _, e := range g.log {
		if g.concerns(p, e) {
			want = append(want, e)
		}
	}
	for _, e := range events {
		got = append(got, told{e.Type, e.ChatID, e.UserID})
	}
	require.Equal(t, want, got)

	var people, watched, watchable []int64
	for _, other := range g.persons {
		people = append(people, other.UserID)
		if g.watches(p, other) {
			watchable = append(watchable, other.UserID)
		}
	}
	found, err := g.Watchable(t.Context(), p.Caller, people)
	require.NoError(t, err)
	for _, f := range found {
		watched = append(watched, f.UserID)
	}
	require.Equal(t, watchable, watched)
}

func (g *game) lookAtChats(t *rapid.T) {
	p := g.anyone(t)
	l := chat.Selection{
		Kind:   pick(t, []string{"", "", store.GroupChat, store.DirectChat, store.SelfChat}, "kind"),
		Limit:  pick(t, []int{0, 1, 2, 3, chat.MaxListLimit}, "limit"),
		Offset: rapid.IntRange(0, 3).Draw(t, "offset"),
	}
	if oneIn(t, 2, "archived or not") {
		l.Archived = new(bool)
		*l.Archived = oneIn(t, 2, "archived")
	}
	g.requireChats(t, p, l)
	u, err := g.Unread(t.Context(), p.Caller)
	require.NoError(t, err)
	require.Equal(t, g.unread(p), u)
}

func (g *game) requireChats(t *rapid.T, p *person, l chat.Selection) {
	found, err := g.Chats(t.Context(), p.Caller, l)
	require.NoError(t, err)
	want := []shownChat{}
	for _, c := range g.chatsOf(p, func(c *talk) bool {
		return (l.Kind == "" || l.Kind == c.Kind) && (l.Archived == nil || *l.Archived == c.places[p].archived)
	}) {
		want = append(want, g.entry(c, p))
	}
	want = part(want, l.Offset, cmp.Or(l.Limit, chat.StandardListLimit))
	got := []shownChat{}
	for _, e := range found {
		got = append(got, entry(e))
	}
	require.Equal(t, want, got)
}

// part is what a limit and an offset leave of a list.
func part[T any](list []T, offset, limit int) []T {
	list = list[min(offset, len(list)):]
	return list[:min(limit, len(list))]
}

func (g *game) lookAtSomeChat(t *rapid.T) {
	c, id := g.someTalk(t)
	p := g.somebody(t, c)
	if c.has(p) {
		g.lookAtChat(t, p, c)
		return
	}
	_, err := g.Chat(t.Context(), p.Caller, id)
	requireRefusal(t, notAParticipant, err)
	_, err = g.Participants(t.Context(), p.Caller, id, 10, 0)
	requireRefusal(t, notAParticipant, err)
	_, err = g.ChatWindow(t.Context(), p.Caller, id, chat.Window{})
	requireRefusal(t, notAParticipant, err)
	_, err = g.ChatMessages(t.Context(), p.Caller, id, chat.Page{})
	requireRefusal(t, notAParticipant, err)
}

func (g *game) lookAtChat(t *rapid.T, p *person, c *talk) {
	e, err := g.Chat(t.Context(), p.Caller, c.ID)
	require.NoError(t, err)
	require.Equal(t, g.entry(c, p), entry(e))

	limit, offset := pick(t, []int{1, 2, 500}, "people"), rapid.IntRange(0, 2).Draw(t, "but for the first")
	found, err := g.Participants(t.Context(), p.Caller, c.ID, limit, offset)
	require.NoError(t, err)
	want := []store.Participant{}
	for _, other := range c.byPlace() {
		want = append(want, g.participant(c, other))
	}
	require.Equal(t, part(want, offset, limit), bare(found...))

	seen := g.visible(p, c)
	limit = pick(t, []int{1, 2, 3, 4, chat.MaxListLimit}, "messages")
	window := chat.Window{Page: chat.Page{Limit: limit}}
	cursor := func(label string) int64 {
		m := pick(t, g.said, label) // perhaps of another chat
		return m.id + rapid.Int64Range(0, 1).Draw(t, "beside")
	}
	// half of the page before a message, and the rest from it on
	half := (limit - 1) / 2
	around := func(from int) []*said {
		return seen[max(0, from-half):min(len(seen), from+limit-half)]
	}
	first := func(id int64) int { // place of the first from an id on
		return len(slices.DeleteFunc(slices.Clone(seen), func(m *said) bool { return m.id >= id }))
	}
	var page []*said
	switch rapid.SampledFrom([]string{"newest", "before", "after", "between", "around", "around seq"}).Draw(t, "which") {
	case "newest":
		page = seen[max(0, len(seen)-limit):]
	case "before":
		window.Before = cursor("before")
		to := first(window.Before)
		page = seen[max(0, to-limit):to]
	case "after":
		window.After = cursor("after")
		page = part(seen, first(window.After+1), limit)
	case "between":
		window.After, window.Before = cursor("after"), cursor("before")
		if to := first(window.Before); first(window.After+1) < to {
			page = part(seen[:to], first(window.After+1), limit)
		}
	case "around":
		window.Around = cursor("around")
		page = around(first(window.Around))
	case "around seq":
		window.AroundSeq = rapid.Int64Range(1, c.LastSeq+2).Draw(t, "seq")
		from := len(seen)
		if window.AroundSeq <= c.LastSeq {
			from = first(c.said[window.AroundSeq-1].id)
		}
		page = around(from)
	}
	messages, err := g.ChatWindow(t.Context(), p.Caller, c.ID, window)
	require.NoError(t, err)
	shown := []chat.Message{}
	for _, m := range page {
		shown = append(shown, g.shownWithReaders(m, p))
	}
	got := []chat.Message{}
	for _, m := range messages {
		got = append(got, bareMessage(m))
	}
	require.Equal(t, shown, got)
}

func (g *game) lookAtSomeMessages(t *rapid.T) {
	for range 3 {
		p, m, id := g.someSaidBy(t)
		g.lookAtMessage(t, p, m, id)
	}
}

func (g *game) lookAtMessage(t *rapid.T, p *person, m *said, id int64) {
	want := g.seeRefusal(p, m)
	limit, offset := pick(t, []int{1, 2, 500}, "limit"), rapid.IntRange(0, 2).Draw(t, "offset")
	got, err := g.Message(t.Context(), p.Caller, id)
	if agree(t, want, err) {
		require.Equal(t, g.shownWithReaders(m, p), bareMessage(got))
	}
	edits, err := g.Edits(t.Context(), p.Caller, id)
	if agree(t, want, err) {
		require.Equal(t, m.versions, edits)
	}
	reactions, err := g.Reactions(t.Context(), p.Caller, id, limit, offset)
	if agree(t, want, err) {
		var shown []chat.Reactions
		for _, count := range m.counts(p) {
			of := chat.Reactions{ReactionCount: count}
			for _, r := range m.reactions {
				if r.emoji == count.Emoji {
					of.By = append(of.By, chat.Reaction{
						MessageID: m.id, UserID: r.by.UserID, Username: r.by.shown(), Emoji: r.emoji, CreatedAt: r.at,
					})
				}
			}
			if of.By = part(of.By, offset, limit); len(of.By) == 0 {
				of.By = nil
			}
			shown = append(shown, of)
		}
		require.Equal(t, shown, reactions)
	}
	readers, err := g.Readers(t.Context(), p.Caller, id, limit, offset)
	if agree(t, want, err) {
		var shown chat.Readers
		for _, other := range m.in.byID() {
			place := m.in.places[other]
			if other == m.by || place.joined.After(m.at) {
				continue
			}
			if place.delivered >= m.seq {
				shown.Delivered++
			}
			if place.read >= m.seq {
				shown.Read++
				shown.List = append(shown.List, chat.Reader{
					UserID: other.UserID, Username: other.shown(), ReadSeq: place.read, JoinedAt: place.joined,
				})
			}
		}
		if shown.List = part(shown.List, offset, limit); len(shown.List) == 0 {
			shown.List = nil
		}
		require.Equal(t, shown, readers)
	}
	after := int64(0)
	if m != nil && oneIn(t, 2, "of the thread after") {
		after = pick(t, m.in.said, "after").id
	}
	thread, err := g.Thread(t.Context(), p.Caller, id, after, limit)
	if agree(t, want, err) {
		root := m
		if m.thread != nil {
			root = m.thread
		}
		shown, got := []chat.Message{}, []chat.Message{}
		for _, other := range g.visible(p, m.in) {
			if (other == root || other.thread == root) && other.id > after {
				shown = append(shown, g.shownWithReaders(other, p))
			}
		}
		for _, other := range thread {
			got = append(got, bareMessage(other))
		}
		require.Equal(t, part(shown, 0, limit), got)
	}
	g.lookAtPoll(t, p, m, id, want)
}

func (g *game) lookAtPoll(t *rapid.T, p *person, m *said, id int64, want refusal) {
	if want == (refusal{}) && m.poll == nil {
		want = because.noPoll
	}
	poll, err := g.Poll(t.Context(), p.Caller, id)
	if agree(t, want, err) {
		require.Equal(t, g.standing(m.poll, p), poll)
	}
	choice := rapid.IntRange(0, 3).Draw(t, "option")
	if want == (refusal{}) && m.poll.anonymous {
		want = refusal{chat.Forbidden, "poll_anonymous", ""}
	}
	if want == (refusal{}) && choice >= len(m.poll.options) {
		want = refusal{chat.Invalid, "poll_option_invalid", "option"}
	}
	votes, err := g.PollVotes(t.Context(), p.Caller, id, choice, 500, 0)
	if agree(t, want, err) {
		var shown []chat.Vote
		for _, v := range m.poll.votes {
			if v.choice == choice {
				shown = append(shown, chat.Vote{
					MessageID: m.id, Choice: choice, UserID: v.by.UserID, Username: v.by.shown(), CreatedAt: v.at,
				})
			}
		}
		slices.SortFunc(shown, func(a, b chat.Vote) int {
			return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.UserID, b.UserID))
		})
		require.Equal(t, shown, votes)
	}
}

func (g *game) lookAtGroups(t *rapid.T) {
	p := g.anyone(t)
	g.requireGroups(t, p)
	c, id := g.someTalk(t)
	got, err := g.Group(t.Context(), p.Caller, id)
	want := refusal{}
	switch {
	case c.has(p) && !c.isGroup():
		want = notAGroup
	case c == nil || !c.seesGroup(p):
		want = notAParticipant
	}
	if agree(t, want, err) {
		require.Equal(t, g.group(c, p), plainGroup(got))
	}
}

func (g *game) lookAtInvites(t *rapid.T) {
	c, id := g.someTalk(t)
	by := g.somebody(t, c)
	found, err := g.Invites(t.Context(), by.Caller, id)
	if !agree(t, g.inviteRefusal(by, c), err) {
		return
	}
	want, got := []chat.Invite{}, []chat.Invite{}
	for _, i := range g.invites { // by their ids
		if i.in == c && g.isLive(i) {
			want = append(want, g.invite(i))
		}
	}
	for _, i := range found {
		got = append(got, plainInvite(i))
	}
	require.Equal(t, want, got)
}

func (g *game) requireGroups(t *rapid.T, p *person) {
	want, got := []chat.Group{}, []chat.Group{}
	for _, c := range g.talks { // by their ids
		if c.seesGroup(p) {
			want = append(want, g.group(c, p))
		}
	}
	// Other runs have left public groups, too.
	for offset := 0; ; offset += chat.MaxListLimit {
		found, err := g.Groups(t.Context(), p.Caller, chat.MaxListLimit, offset)
		require.NoError(t, err)
		for _, group := range found {
			if group.ID >= g.talks[0].ID {
				got = append(got, plainGroup(group))
			}
		}
		if len(found) < chat.MaxListLimit {
			break
		}
	}
	require.Equal(t, want, got)
}

func (g *game) lookAtHistories(t *rapid.T) { g.requireHistories(t, g.anyone(t)) }

func (g *game) requireHistories(t *rapid.T, p *person) {
	h, err := g.Messages(t.Context(), p.Caller, chat.Page{})
	require.NoError(t, err)
	g.requireHistory(t, p, h, g.said)
	for _, c := range g.chatsOf(p, func(*talk) bool { return true }) {
		h, err := g.ChatMessages(t.Context(), p.Caller, c.ID, chat.Page{})
		require.NoError(t, err)
		g.requireHistory(t, p, h, c.said)
		if other := c.other(p); other != nil && !other.gone {
			h, err := g.DirectMessages(t.Context(), p.Caller, other.Username, chat.Page{})
			require.NoError(t, err)
			g.requireHistory(t, p, h, c.said)
		}
	}
}

// requireHistory compares a history with what somebody sees of some messages.
func (g *game) requireHistory(t *rapid.T, p *person, h *chat.History, of []*said) {
	found, err := drain(h)
	require.NoError(t, err)
	want, got := []chat.Message{}, []chat.Message{}
	for _, m := range of {
		if g.sees(p, m) {
			want = append(want, g.shown(m, p))
		}
	}
	for _, m := range found {
		got = append(got, plain(m))
	}
	require.Equal(t, want, got)
}

func (g *game) lookAtAll(t *rapid.T, p *person) {
	yes, no := true, false
	for _, archived := range []*bool{nil, &yes, &no} {
		g.requireChats(t, p, chat.Selection{Archived: archived})
	}
	g.requireGroups(t, p)
	g.requireHistories(t, p)
	blocks, err := g.Blocks(t.Context(), p.Caller, 100, 0)
	require.NoError(t, err)
	var want, got []int64
	for _, other := range g.persons { // by their ids
		if g.blocks[[2]*person{p, other}] {
			want = append(want, other.UserID)
		}
	}
	for _, b := range blocks {
		got = append(got, b.BlockedID)
	}
	require.Equal(t, want, got)
}

// What the rules show, such that it can be compared: fields alone that others
// than the store know.

// exported is a chat without what is the store's own.
func exported(c chat.Chat) chat.Chat {
	return chat.Chat{
		ID: c.ID, Kind: c.Kind, Title: c.Title, Description: c.Description, Visibility: c.Visibility, ManagedBy: c.ManagedBy,
		LastSeq: c.LastSeq, CreatedAt: c.CreatedAt, ActiveAt: c.ActiveAt,
	}
}

func plainGroup(group chat.Group) chat.Group {
	return chat.Group{Chat: exported(group.Chat), ParticipantCount: group.ParticipantCount, Role: group.Role}
}

func (g *game) group(c *talk, p *person) chat.Group {
	shown := chat.Group{Chat: c.Chat, ParticipantCount: len(c.places)}
	if c.has(p) {
		shown.Role = c.places[p].role
	}
	return shown
}

func (g *game) invite(i *invited) chat.Invite {
	return chat.Invite{Invite: store.Invite{
		ID: int64(i.id), ChatID: i.in.ID, CreatorID: i.by.UserID, Creator: i.by.shown(), CreatedAt: i.at, ExpiresAt: i.expires,
		MaxUses: i.max, Uses: i.uses,
	}}
}

// plainInvite is an invite without what is stored of its token.
func plainInvite(i chat.Invite) chat.Invite {
	i.TokenHash = nil
	return i
}

// bare are participants without their settings, which are nobody else's business.
func bare(found ...store.Participant) []store.Participant {
	shown := []store.Participant{}
	for _, p := range found {
		p.MutedUntil, p.Archived, p.MarkedUnread = time.Time{}, false, false
		shown = append(shown, p)
	}
	return shown
}

func (g *game) participant(c *talk, p *person) store.Participant {
	place := c.places[p]
	return store.Participant{
		ChatID: c.ID, UserID: p.UserID, Username: p.shown(), Role: place.role, JoinedAt: place.joined,
		ReadSeq: place.read, DeliveredSeq: place.delivered,
	}
}

// shownChat is a chat as its list shows it.
type shownChat struct {
	chat.Chat
	mine      store.Participant
	people    int
	other     string
	unread    int64
	last      int64 // message
	lastWords string
}

func (g *game) entry(c *talk, p *person) shownChat {
	shown := shownChat{Chat: c.Chat, mine: g.participant(c, p), people: len(c.places), unread: c.LastSeq - c.places[p].read}
	shown.mine.MutedUntil = g.mutedUntil(c.places[p])
	shown.mine.Archived, shown.mine.MarkedUnread = c.places[p].archived, c.places[p].unread
	if other := c.other(p); other != nil {
		shown.other = fmt.Sprint(other.UserID, other.shown())
	}
	if seen := g.visible(p, c); len(seen) > 0 {
		shown.last, shown.lastWords = seen[len(seen)-1].id, seen[len(seen)-1].text
	}
	return shown
}

func entry(e chat.Entry) shownChat {
	shown := shownChat{Chat: exported(e.Chat), mine: e.Participant, people: e.Participants, unread: e.Unread()}
	if e.Other != nil {
		shown.other = fmt.Sprint(e.Other.ID, e.Other.Username)
	}
	if e.LastMessage != nil {
		shown.last, shown.lastWords = e.LastMessage.ID, e.LastMessage.Text
	}
	return shown
}

// plain is a message without what is the store's own, and without its readers.
func plain(m chat.Message) chat.Message {
	m = bareMessage(m)
	m.ReadCount, m.ReadBy = nil, nil
	return m
}

// bareMessage is a message without what is the store's own.
func bareMessage(m chat.Message) chat.Message {
	return chat.Message{
		ID: m.ID, ChatID: m.ChatID, ChatKind: m.ChatKind, Seq: m.Seq, SenderID: m.SenderID, SenderUsername: m.SenderUsername,
		Text: m.Text, ClientID: m.ClientID, CreatedAt: m.CreatedAt, EditedAt: m.EditedAt, DeletedAt: m.DeletedAt,
		ReplyTo: m.ReplyTo, ThreadID: m.ThreadID, ReplyCount: m.ReplyCount, Mentions: m.Mentions,
		ReadCount: m.ReadCount, ReadBy: m.ReadBy, Reactions: m.Reactions, Poll: m.Poll,
	}
}

func (g *game) shown(m *said, p *person) chat.Message {
	shown := chat.Message{
		ID: m.id, ChatID: m.in.ID, ChatKind: m.in.Kind, Seq: m.seq, SenderID: m.by.UserID, SenderUsername: m.by.shown(),
		Text: m.text, ClientID: m.key, CreatedAt: m.at, EditedAt: m.edited, DeletedAt: m.deleted,
		ReplyCount: m.replies, Mentions: m.mentions, Reactions: m.counts(p),
	}
	if m.replyTo != nil {
		shown.ReplyTo, shown.ThreadID = m.replyTo.id, m.thread.id
	}
	if m.poll != nil {
		standing := g.standing(m.poll, p)
		shown.Poll = &standing
	}
	return shown
}

// shownAgain is a message as it is answered anew to who has sent it, and who may
// have left the chat since: then they don't hear what has come to it.
func (g *game) shownAgain(m *said, p *person) chat.Message {
	shown := g.shown(m, p)
	if !m.in.has(p) {
		shown.ReplyCount, shown.Reactions, shown.Poll = 0, nil, nil
	}
	return shown
}

func (g *game) shownWithReaders(m *said, p *person) chat.Message {
	shown := g.shown(m, p)
	for _, other := range m.in.byID() {
		if place := m.in.places[other]; other != m.by && place.read >= m.seq && !place.joined.After(m.at) {
			shown.ReadBy = append(shown.ReadBy, other.shown())
		}
	}
	count := len(shown.ReadBy)
	shown.ReadCount = &count
	return shown
}
