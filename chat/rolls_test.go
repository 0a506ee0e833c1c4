package chat_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/limit"
	"github.com/caddymsg/messaging/store"
)

func TestCreateRoll(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, cora, dan := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "cora"), r.user(t, "dan")
		_, err := r.Block(t.Context(), cora, "bob")
		require.NoError(t, err)
		gone := r.user(t, "gone")
		require.NoError(t, r.DeleteMe(t.Context(), gone))
		ids := func(users ...chat.Caller) []int64 {
			found := []int64{}
			for _, u := range users {
				found = append(found, u.UserID)
			}
			return found
		}
		for _, c := range []struct {
			says   string
			caller chat.Caller
			wanted chat.NewRoll
			want   refusal
		}{
			{"a group", bob, chat.NewRoll{Title: " Work ", UserIDs: ids(dan, bob, alice)}, refusal{}},
			{"alone", bob, chat.NewRoll{UserIDs: ids(bob)}, refusal{}},
			{"two, as a group", alice, chat.NewRoll{UserIDs: ids(alice, bob)}, refusal{}},
			{"three, direct", alice, chat.NewRoll{UserIDs: ids(alice, bob, dan), Direct: true}, refusal{}},
			{"not among them", dan, chat.NewRoll{UserIDs: ids(alice, bob)}, refusal{chat.Forbidden, "not_among_participants", ""}},
			{"nobody", dan, chat.NewRoll{}, refusal{chat.Forbidden, "not_among_participants", ""}},
			{"twice", bob, chat.NewRoll{UserIDs: ids(bob, alice, bob)}, refusal{chat.Conflict, "participant_twice", "participants"}},
			{"unknown", bob, chat.NewRoll{UserIDs: []int64{bob.UserID, 9999}}, noSuchAccount},
			{"deleted", bob, chat.NewRoll{UserIDs: ids(bob, gone)}, noSuchAccount},
			{"unknown, twice", bob, chat.NewRoll{UserIDs: []int64{bob.UserID, -1, -1}}, noSuchAccount},
			{"unknown, and somebody twice", bob, chat.NewRoll{UserIDs: []int64{bob.UserID, bob.UserID, 9999}}, noSuchAccount},
			{"who has blocked them", bob, chat.NewRoll{UserIDs: ids(bob, cora)}, isBlocked},
			{"who has blocked them, direct", bob, chat.NewRoll{UserIDs: ids(cora, bob), Direct: true}, isBlocked},
			{"of whom they have not blocked", alice, chat.NewRoll{UserIDs: ids(alice, bob, cora)}, refusal{}},
			{"a long title", bob, chat.NewRoll{Title: strings.Repeat("x", 129), UserIDs: ids(bob)}, refusal{chat.Invalid, "title_too_long", "title"}},
		} {
			t.Run(c.says, func(t *testing.T) {
				r.committed()
				made, err := r.CreateRoll(t.Context(), c.caller, c.wanted)
				if c.want != (refusal{}) {
					requireRefusal(t, c.want, err)
					require.Empty(t, r.committed(), "nothing was made")
					return
				}
				require.NoError(t, err)
				require.Equal(t, c.wanted.UserIDs, made.UserIDs)
				require.Equal(t, store.GroupChat, made.Kind)
				require.Equal(t, strings.TrimSpace(c.wanted.Title), made.Title)
				require.Equal(t, []string{store.ChatCreated}, types(r.committed()))
				people, err := r.Participants(t.Context(), c.caller, made.ID, 10, 0)
				require.NoError(t, err)
				for i, p := range people {
					require.Equal(t, c.wanted.UserIDs[i], p.UserID, "in this order")
					require.Equal(t, map[bool]string{true: store.Owner, false: store.Member}[p.UserID == c.caller.UserID], p.Role)
					require.Equal(t, made.CreatedAt.Add(time.Duration(i)*time.Microsecond), p.JoinedAt, "none before there is a chat")
				}
				longest, err := r.LongestIn(t.Context(), trustedNobody, made.ID)
				require.NoError(t, err)
				require.Equal(t, c.wanted.UserIDs[0], longest)
			})
		}
		t.Run("two, direct", func(t *testing.T) {
			made, err := r.CreateRoll(t.Context(), alice, chat.NewRoll{Title: "x", UserIDs: ids(dan, alice), Direct: true})
			require.NoError(t, err)
			require.Equal(t, store.DirectChat, made.Kind)
			require.Empty(t, made.Title)
			again, err := r.CreateRoll(t.Context(), dan, chat.NewRoll{UserIDs: ids(dan, alice), Direct: true})
			require.NoError(t, err)
			require.Equal(t, made, again, "they have one")
			require.Equal(t, made.ID, r.open(t, alice, dan).ID)
		})
		t.Run("two, direct, at once", func(t *testing.T) {
			eve, fay := r.user(t, "eve"), r.user(t, "fay")
			made := make([]int64, 8)
			for _, err := range atOnce(len(made), func(i int) error {
				roll, err := r.CreateRoll(t.Context(), eve, chat.NewRoll{UserIDs: ids(eve, fay), Direct: true})
				made[i] = roll.ID
				return err
			}) {
				require.NoError(t, err)
			}
			for _, id := range made {
				require.Equal(t, made[0], id)
			}
		})
	})
}

// trustedNobody asks for something where ids are trusted, and names nobody.
var trustedNobody = chat.Caller{Address: "192.0.2.1", Trusted: true}

func TestEmptyGroups(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		_, err := r.CreateEmptyGroup(t.Context(), trustedNobody, strings.Repeat("x", 129))
		requireRefusal(t, refusal{chat.Invalid, "title_too_long", "title"}, err)
		made, err := r.CreateEmptyGroup(t.Context(), trustedNobody, "Later")
		require.NoError(t, err)
		_, err = r.LongestIn(t.Context(), trustedNobody, made.ID)
		requireRefusal(t, noSuchChat, err)

		// Where nobody is trusted, all this is for nobody.
		notTrusted := refusal{chat.Forbidden, "not_trusted", ""}
		_, err = r.CreateEmptyGroup(t.Context(), alice, "Later")
		requireRefusal(t, notTrusted, err)
		_, err = r.LongestIn(t.Context(), alice, made.ID)
		requireRefusal(t, notTrusted, err)
		_, err = r.JoinEmptyGroup(t.Context(), alice, made.ID)
		requireRefusal(t, notTrusted, err)
		alice.Trusted, bob.Trusted = true, true
		_, err = r.JoinEmptyGroup(t.Context(), alice, 9999)
		requireRefusal(t, notAParticipant, err)

		joined := 0
		for _, err := range atOnce(4, func(i int) error {
			_, err := r.JoinEmptyGroup(t.Context(), []chat.Caller{alice, bob}[i%2], made.ID)
			return err
		}) {
			if err == nil {
				joined++
				continue
			}
			requireRefusal(t, notAParticipant, err)
		}
		require.Equal(t, 1, joined, "one is the first")
		owner, err := r.LongestIn(t.Context(), trustedNobody, made.ID)
		require.NoError(t, err)
		mine := r.entry(t, chat.Caller{UserID: owner}, made.ID)
		require.Equal(t, store.Owner, mine.Participant.Role)

		// Whoever has left something behind has it for themselves.
		left := r.group(t, alice)
		r.send(t, alice, chat.Draft{ChatID: left.ID, Text: "for us"})
		require.NoError(t, r.RemoveParticipant(t.Context(), alice, left.ID, "alice"))
		direct := r.open(t, alice, bob)
		full := r.group(t, alice)
		for _, id := range []int64{left.ID, direct.ID, full.ID} {
			_, err = r.JoinEmptyGroup(t.Context(), bob, id)
			requireRefusal(t, notAParticipant, err)
		}
	})
}

// Who names nobody has the changes of their network.
func TestEmptyGroupsAreLimited(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		changes := limit.New(nil, nil)
		changes.Configure(map[limit.Name]limit.Rate{limit.Changes: {Events: 2, Per: time.Hour, Burst: 2}})
		r.Limit(changes)
		create := func(address string) error {
			_, err := r.CreateEmptyGroup(t.Context(), chat.Caller{Address: address, Trusted: true}, "")
			return err
		}
		for _, address := range []string{"2001:db8::1", "2001:db8::2", "192.0.2.1"} {
			require.NoError(t, create(address))
		}
		requireRefusal(t, refusal{chat.TooMany, "rate_limited", ""}, create("2001:db8::3"))
		require.NoError(t, create("192.0.2.1"))
		requireRefusal(t, refusal{chat.TooMany, "rate_limited", ""}, create("192.0.2.1"))
	})
}

func TestAddUser(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, cora, dan := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "cora"), r.user(t, "dan")
		_, err := r.Block(t.Context(), dan, "alice")
		require.NoError(t, err)
		group, direct := r.group(t, alice), r.open(t, alice, bob)
		for _, c := range []struct {
			says   string
			caller chat.Caller
			chatID int64
			userID int64
			want   refusal
		}{
			{"somebody", alice, group.ID, bob.UserID, refusal{}},
			{"by a member", bob, group.ID, cora.UserID, refusal{}},
			{"again", alice, group.ID, bob.UserID, refusal{chat.Conflict, "already_a_participant", "username"}},
			{"from outside", dan, group.ID, dan.UserID, notAParticipant},
			{"no such chat", alice, 9999, bob.UserID, notAParticipant},
			{"no such user", alice, group.ID, 9999, noSuchAccount},
			{"to two", alice, direct.ID, cora.UserID, notAGroup},
			{"who has blocked them", alice, group.ID, dan.UserID, isBlocked},
		} {
			t.Run(c.says, func(t *testing.T) {
				roll, err := r.AddUser(t.Context(), c.caller, c.chatID, c.userID)
				if c.want != (refusal{}) {
					requireRefusal(t, c.want, err)
					return
				}
				require.NoError(t, err)
				require.Equal(t, c.userID, roll.UserIDs[len(roll.UserIDs)-1])
			})
		}
		var rolls []chat.Roll
		for roll, err := range r.Rolls(t.Context(), bob) {
			require.NoError(t, err)
			rolls = append(rolls, roll)
		}
		require.Len(t, rolls, 2)
		require.Equal(t, []int64{alice.UserID, bob.UserID, cora.UserID}, rolls[0].UserIDs)
		require.Equal(t, direct.ID, rolls[1].ID)
	})
}

func TestMessagesIn(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group := r.group(t, alice)
		sent := r.flood(t, alice, group.ID, 300) // more than are read at once
		require.NoError(t, r.DeleteMessage(t.Context(), alice, sent[1].ID))
		present := slices.Delete(slices.Clone(sent), 1, 2)
		for _, c := range [][2]int{{0, 0}, {1, 0}, {128, 1}, {129, 100}, {1 << 62, 0}, {1 << 62, 290}, {10, 299}, {10, 1 << 62}} {
			found, err := r.MessagesIn(t.Context(), alice, group.ID, c[0], c[1])
			require.NoError(t, err)
			var ids, want []int64
			for m, err := range found {
				require.NoError(t, err)
				require.Zero(t, *m.ReadCount)
				ids = append(ids, m.ID)
			}
			from := min(c[1], len(present))
			for _, m := range present[from:min(len(present), from+min(c[0], 1000))] {
				want = append(want, m.ID)
			}
			require.Equal(t, want, ids, c)
		}
		for _, id := range []int64{group.ID, 9999, 0, -1} {
			_, err := r.MessagesIn(t.Context(), bob, id, 0, 0)
			requireRefusal(t, notAParticipant, err)
		}
	})
}

func TestReadMessage(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, cora := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "cora")
		group, other := r.group(t, alice, bob), r.group(t, bob)
		var sent []chat.Message
		for range 4 {
			sent = append(sent, r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "x"}))
		}
		require.NoError(t, r.DeleteMessage(t.Context(), alice, sent[3].ID))
		r.committed()
		read := func(caller chat.Caller, id int64) (int, bool) {
			t.Helper()
			m, news, err := r.ReadMessage(t.Context(), caller, group.ID, id)
			require.NoError(t, err)
			require.Equal(t, id, m.ID)
			return *m.ReadCount, news
		}
		_, news := read(bob, sent[1].ID)
		require.True(t, news)
		events := r.committed()
		require.Len(t, events, 1)
		require.Equal(t, store.ChatRead, events[0].Type)
		require.Equal(t, sent[1].ID, events[0].Message.ID, "the message is named")
		require.JSONEq(t, `{"seq":2}`, events[0].Data)

		count, news := read(bob, sent[1].ID)
		require.False(t, news, "that was known")
		require.Equal(t, 1, count)
		_, news = read(bob, sent[0].ID)
		require.False(t, news, "and so was that")
		count, news = read(alice, sent[2].ID)
		require.False(t, news, "one's own")
		require.Zero(t, count)
		require.Empty(t, r.committed())

		for says, c := range map[string]struct {
			caller chat.Caller
			chatID int64
			id     int64
			want   refusal
		}{
			"of another chat":       {bob, other.ID, sent[2].ID, noSuchMessage},
			"of no chat":            {bob, group.ID, 9999, noSuchMessage},
			"deleted":               {bob, group.ID, sent[3].ID, noSuchMessage},
			"from outside":          {cora, group.ID, sent[2].ID, notAParticipant},
			"of a chat of nobody's": {bob, 9999, sent[2].ID, notAParticipant},
		} {
			_, _, err := r.ReadMessage(t.Context(), c.caller, c.chatID, c.id)
			require.Error(t, err, says)
			requireRefusal(t, c.want, err)
		}
		require.Empty(t, r.committed())
	})
}

// Who reads by numbers is told of by the message, too, however far back it is.
func TestReadingNamesTheMessage(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group := r.group(t, alice, bob)
		sent := r.flood(t, alice, group.ID, 100)
		for _, seq := range []int64{1, 50, 100} {
			r.committed()
			_, err := r.Read(t.Context(), bob, group.ID, &seq)
			require.NoError(t, err)
			events, err := r.EventsByID(t.Context(), []int64{r.committed()[0].ID})
			require.NoError(t, err)
			require.Equal(t, sent[seq-1].ID, events[0].Message.ID)
			require.Equal(t, "flood", events[0].Message.Text)
		}
	})
}

// Of what was deleted since, nobody needs to hear that it was read: but of what came
// before it.
func TestReadingNamesAMessageThatIsThere(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group := r.group(t, alice, bob)
		sent := r.flood(t, alice, group.ID, 4)
		for _, m := range []chat.Message{sent[1], sent[2], sent[3]} {
			require.NoError(t, r.DeleteMessage(t.Context(), alice, m.ID))
		}
		for _, c := range []struct {
			seq, named int64
		}{{3, sent[0].ID}, {4, 0}} {
			require.Equal(t, []int64{c.named}, r.toldRead(t, func() error {
				_, err := r.Read(t.Context(), bob, group.ID, &c.seq)
				return err
			}), c.seq)
		}
	})
}

// toldRead are the messages that others are told have been read, as something is done; 0 for
// none of them.
func (r *rules) toldRead(t *testing.T, do func() error) (messages []int64) {
	t.Helper()
	r.committed()
	require.NoError(t, do())
	for _, told := range r.committed() {
		if told.Type != store.ChatRead {
			continue
		}
		events, err := r.EventsByID(t.Context(), []int64{told.ID})
		require.NoError(t, err)
		id := int64(0)
		if events[0].Message != nil {
			id = events[0].Message.ID
		}
		messages = append(messages, id)
	}
	return messages
}

// Who sends has read what came before. The others are told if an API has no other way to
// know.
func TestSendTellsReading(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group := r.group(t, alice, bob)
		var sent []int64
		for i, c := range []struct {
			by   chat.Caller
			told bool
			want []int // the messages that are told of, by their place here
		}{
			{alice, true, nil},
			{bob, true, []int{0}},
			{bob, true, nil},
			{alice, false, nil},
			{alice, true, nil},
			{bob, true, []int{4}},
		} {
			var want []int64
			for _, place := range c.want {
				want = append(want, sent[place])
			}
			require.Equal(t, want, r.toldRead(t, func() error {
				m, err := r.Send(t.Context(), c.by, chat.Draft{ChatID: group.ID, Text: "x", TellsReading: c.told})
				sent = append(sent, m.ID)
				return err
			}), i)
		}
		outsider := r.user(t, "cora")
		_, err := r.Send(t.Context(), outsider, chat.Draft{ChatID: group.ID, Text: "x", TellsReading: true})
		requireRefusal(t, notAParticipant, err)
	})
}

// What is told of a message that was edited says how many have read it.
func TestEditedMessagesTellTheirReaders(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group := r.group(t, alice, bob)
		last := func() chat.Event {
			told := r.committed()
			events, err := r.EventsByID(t.Context(), []int64{told[len(told)-1].ID})
			require.NoError(t, err)
			return events[0]
		}
		m := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "x"})
		require.Nil(t, last().Message.ReadCount)
		_, err := r.EditMessage(t.Context(), alice, m.ID, "y")
		require.NoError(t, err)
		require.Zero(t, *last().Message.ReadCount)
		_, _, err = r.ReadMessage(t.Context(), bob, group.ID, m.ID)
		require.NoError(t, err)
		_, err = r.EditMessage(t.Context(), alice, m.ID, "z")
		require.NoError(t, err)
		edited := last()
		require.Equal(t, 1, *edited.Message.ReadCount)
		require.JSONEq(t, `{"read_count":1}`, edited.Data, "nobody has to count them again")
	})
}

// What is sent once a second is refused, and not answered, when it is sent again. The
// second is that of the message.
func TestSendOncePerSecond(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group, other := r.group(t, alice, bob), r.group(t, alice)
		second := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
		r.SetClock(func() time.Time { return second })
		once := chat.Draft{ChatID: group.ID, Text: "x", OncePerSecond: true}
		sent := 0
		for _, err := range atOnce(8, func(int) error {
			_, err := r.Send(t.Context(), alice, once)
			return err
		}) {
			if err == nil {
				sent++
				continue
			}
			requireRefusal(t, refusal{chat.Conflict, "message_repeated", ""}, err)
		}
		require.Equal(t, 1, sent)
		for says, c := range map[string]struct {
			by    chat.Caller
			draft chat.Draft
			at    time.Duration
			want  refusal
		}{
			"at the end of the second": {alice, once, time.Second - time.Microsecond, refusal{chat.Conflict, "message_repeated", ""}},
			"in the next":              {alice, once, time.Second, refusal{}},
			"somebody else":            {bob, once, 0, refusal{}},
			"another text":             {alice, chat.Draft{ChatID: group.ID, Text: "y", OncePerSecond: true}, 0, refusal{}},
			"another chat":             {alice, chat.Draft{ChatID: other.ID, Text: "x", OncePerSecond: true}, 0, refusal{}},
			"as often as one likes":    {alice, chat.Draft{ChatID: group.ID, Text: "x"}, 0, refusal{}},
		} {
			r.SetClock(func() time.Time { return second.Add(c.at) })
			m, err := r.Send(t.Context(), c.by, c.draft)
			if c.want != (refusal{}) {
				requireRefusal(t, c.want, err)
				continue
			}
			require.NoError(t, err, says)
			require.Empty(t, chat.KeyOf(m), "nobody is shown the key")
			require.NoError(t, r.DeleteMessage(t.Context(), c.by, m.ID))
			left, err := r.Message(t.Context(), c.by, m.ID)
			require.NoError(t, err)
			require.Empty(t, left.ClientID, "it would tell of the text")
		}
		key := "its own"
		m := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "x", ClientID: key})
		require.NoError(t, r.DeleteMessage(t.Context(), alice, m.ID))
		require.Equal(t, m.ID, r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "x", ClientID: key}).ID, "still sent once")
	})
}
