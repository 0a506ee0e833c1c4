package chat_test

import (
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/limit"
	"github.com/caddymsg/messaging/store"
)

var (
	notAMember = refusal{chat.Forbidden, "not_a_member", ""}
	inAlready  = refusal{chat.Conflict, "already_a_participant", "username"}
	titleTaken = refusal{chat.Conflict, "title_taken", "title"}
)

// failure is what a list begins with, if it is no item.
func failure[T any](items iter.Seq2[T, error]) error {
	for _, err := range items {
		return err
	}
	return nil
}

// titled is a group with a title, that all may find or none.
func (r *rules) titled(tb testing.TB, creator chat.Caller, title, visibility string, others ...chat.Caller) chat.Chat {
	tb.Helper()
	g := r.group(tb, creator, others...)
	changed, err := r.UpdateGroup(tb.Context(), creator, g.ID, chat.GroupChange{Title: &title, Visibility: &visibility})
	require.NoError(tb, err)
	return changed.Chat
}

// Who may look at a group is told of a public one that they are outside; of all else that
// is none of theirs, there is none.
func TestMembers(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		public := r.titled(t, alice, "Alpha", store.Public, bob)
		private := r.titled(t, alice, "Secret", store.Private, bob)
		direct := r.send(t, alice, chat.Draft{To: "bob", Text: "hi"})
		_, err := r.SetRole(t.Context(), alice, private.ID, "bob", store.Admin)
		require.NoError(t, err)

		group, members, err := r.GroupMembers(t.Context(), eve, public.ID)
		require.NoError(t, err)
		require.Equal(t, "Alpha", group.Title)
		require.Equal(t, []chat.Member{{UserID: alice.UserID, Admin: true}, {UserID: bob.UserID}}, members)
		_, members, err = r.GroupMembers(t.Context(), bob, private.ID)
		require.NoError(t, err)
		require.Equal(t, []chat.Member{{UserID: alice.UserID, Admin: true}, {UserID: bob.UserID, Admin: true}}, members)
		group, err = r.MemberGroup(t.Context(), bob, public.ID)
		require.NoError(t, err)
		require.Equal(t, "Alpha", group.Title)
		_, err = r.MemberGroup(t.Context(), eve, public.ID)
		requireRefusal(t, notAMember, err)

		for _, c := range []struct {
			name   string
			caller chat.Caller
			chatID int64
		}{
			{"a private group of others", eve, private.ID},
			{"a chat between two", alice, direct.ChatID},
			{"a chat between two others", eve, direct.ChatID},
			{"none", alice, 9999},
		} {
			t.Run(c.name, func(t *testing.T) {
				_, _, err := r.GroupMembers(t.Context(), c.caller, c.chatID)
				requireRefusal(t, noSuchGroup, err)
				_, err = r.MemberGroup(t.Context(), c.caller, c.chatID)
				requireRefusal(t, noSuchGroup, err)
				_, _, err = r.AddMember(t.Context(), c.caller, c.chatID, c.caller.Username)
				requireRefusal(t, noSuchGroup, err)
				requireRefusal(t, noSuchGroup, failure(r.GroupMessages(t.Context(), c.caller, c.chatID)))
			})
		}
		require.NoError(t, r.DeleteGroup(t.Context(), alice, public.ID))
		_, _, err = r.GroupMembers(t.Context(), alice, public.ID)
		requireRefusal(t, noSuchGroup, err)
	})
}

func TestAddMember(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, zoe := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "zoe")
		r.user(t, "eve")
		group := r.titled(t, alice, "Alpha", store.Public)
		private := r.titled(t, alice, "Secret", store.Private)
		closed := r.titled(t, alice, "Closed", store.Public, bob)
		_, err := r.UpdateGroup(t.Context(), alice, closed.ID, chat.GroupChange{ManagedBy: new(store.ByAdmins)})
		require.NoError(t, err)
		_, err = r.Block(t.Context(), zoe, "alice")
		require.NoError(t, err)

		for _, c := range []struct {
			name    string
			caller  chat.Caller
			chatID  int64
			user    string
			refused *refusal
		}{
			{"a member adds others", alice, group.ID, "BOB", nil},
			{"and who was added does", bob, group.ID, "eve", nil},
			{"in it already", alice, group.ID, "bob", &inAlready},
			{"no such user comes first", alice, 9999, "nobody", &noSuchUser},
			{"an outsider adds others", zoe, closed.ID, "eve", &notAMember},
			{"an outsider adds who is in it", zoe, closed.ID, "bob", &inAlready},
			{"a member where admins manage", bob, closed.ID, "eve", &groupAdminRequired},
			{"who has blocked the caller", alice, group.ID, "zoe", &blocked},
			{"an outsider joins", zoe, group.ID, "zoe", nil},
			{"again", zoe, group.ID, "zoe", &inAlready},
			{"into a private one", alice, private.ID, "eve", nil},
		} {
			t.Run(c.name, func(t *testing.T) {
				r.committed()
				user, in, err := r.AddMember(t.Context(), c.caller, c.chatID, c.user)
				if c.refused != nil {
					requireRefusal(t, *c.refused, err)
					require.Empty(t, r.committed())
					return
				}
				require.NoError(t, err)
				require.Equal(t, c.chatID, in.ID)
				r.requireEvents(t, c.chatID, happened{what: store.ParticipantAdded, actor: c.caller, to: chat.Caller{UserID: user.ID}})
				require.Equal(t, store.Member, r.roles(t, c.chatID)[user.ID])
			})
		}
	})
}

func TestGroupTitles(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, eve := r.user(t, "alice"), r.user(t, "eve")
		for _, title := range []string{"Alpha", "alpha two", "100%", "a_b", "Größe"} {
			r.titled(t, alice, title, store.Public)
		}
		r.titled(t, alice, "Alpha, secret", store.Private)
		r.titled(t, eve, "Hers", store.Private)
		r.titled(t, alice, "", store.Public) // which has nothing to be listed by
		r.send(t, alice, chat.Draft{To: "eve", Text: "Alpha"})
		public := []string{"Alpha", "alpha two", "100%", "a_b", "Größe"}
		for _, c := range []struct {
			name   string
			caller chat.Caller
			q      string
			want   []string
		}{
			{"all: public and one's own", alice, "", append(public[:5:5], "Alpha, secret")},
			{"not those of others", eve, "", append(public[:5:5], "Hers")},
			{"anywhere in the title, whatever the case", alice, "LPHA", []string{"Alpha", "alpha two", "Alpha, secret"}},
			{"beyond ASCII", alice, "GRÖSS", []string{"Größe"}},
			{"% is a character", alice, "%", []string{"100%"}},
			{"_ is a character", alice, "_", []string{"a_b"}},
			{"none", alice, "beta", []string{}},
		} {
			t.Run(c.name, func(t *testing.T) {
				require.Equal(t, c.want, all(t, r.GroupTitles(t.Context(), c.caller, c.q)))
			})
		}
	})
}

// To list groups, or to count messages, may be to look through all that there are: it is a
// search, whatever is asked for.
func TestListsThatAreSearches(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		limited := refusal{chat.TooMany, "rate_limited", ""}
		once := func() {
			searches := limit.New(nil, nil)
			searches.Configure(map[limit.Name]limit.Rate{limit.Search: {Events: 1, Per: time.Hour, Burst: 1}})
			r.Limit(searches)
		}
		alice := r.user(t, "alice")
		r.titled(t, alice, "Alpha", store.Public)
		once()
		require.Equal(t, []string{"Alpha"}, all(t, r.GroupTitles(t.Context(), alice, "")))
		requireRefusal(t, limited, failure(r.GroupTitles(t.Context(), alice, "")))
		once()
		_, err := r.CountMessages(t.Context(), alice, chat.MessageQuery{})
		require.NoError(t, err)
		_, err = r.CountMessages(t.Context(), alice, chat.MessageQuery{})
		requireRefusal(t, limited, err)
	})
}

// However many groups there are, all are listed.
func TestManyGroupTitles(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		var want []string
		require.NoError(t, r.store.Update(t.Context(), func(tx *store.Tx) error {
			want = nil
			for i := range 2*chat.TitlesAtOnce + 1 {
				g := store.NewGroup(fmt.Sprint("group ", i), time.Now())
				g.Visibility = store.Public
				if err := tx.CreateChat(&g); err != nil {
					return err
				}
				want = append(want, g.Title)
			}
			return nil
		}))
		require.Equal(t, want, all(t, r.GroupTitles(t.Context(), alice, "")))
	})
}

func TestUniqueTitle(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		unique := func(title, key string) (chat.Group, error) {
			return r.CreateGroup(t.Context(), alice, chat.NewGroup{Title: title, Visibility: store.Public, UniqueTitle: true, Key: key})
		}
		r.titled(t, bob, "Private", store.Private)
		first, err := unique("Alpha", "key")
		require.NoError(t, err)
		again, err := unique("Alpha", "key")
		require.NoError(t, err)
		require.Equal(t, first, again, "a key makes it once, and its title is its own")
		r.committed()
		for title, want := range map[string]refusal{
			"Alpha": titleTaken, " Alpha ": titleTaken, "": {chat.Invalid, "title_missing", "title"}, "  ": {chat.Invalid, "title_missing", "title"},
		} {
			_, err := unique(title, "")
			requireRefusal(t, want, err)
		}
		require.Empty(t, r.committed())
		second, err := unique("alpha", "")
		require.NoError(t, err, "upper and lower case differ")
		_, err = unique("Private", "")
		require.NoError(t, err, "nobody is told what there is in private")
		_, err = r.CreateGroup(t.Context(), alice, chat.NewGroup{Title: "Alpha", Visibility: store.Public})
		require.NoError(t, err, "who does not ask for it is not held to it")
		require.NoError(t, r.DeleteGroup(t.Context(), alice, second.ID))
		_, err = unique("alpha", "")
		require.NoError(t, err, "with its group, the title is free")

		rename := func(title string) error {
			_, err := r.UpdateGroup(t.Context(), alice, first.ID, chat.GroupChange{Title: &title, UniqueTitle: true})
			return err
		}
		requireRefusal(t, titleTaken, rename("alpha"))
		require.NoError(t, rename("Beta"))
		require.NoError(t, rename("Beta"), "it is its own")
	})
}

// Of many who ask for a title at once, one gets it.
func TestUniqueTitleAtOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		for round := range 20 {
			title := fmt.Sprint("group ", round)
			results := make([]error, 8)
			begin := make(chan struct{})
			var wg sync.WaitGroup
			for i := range results {
				wg.Go(func() {
					<-begin
					_, results[i] = r.CreateGroup(t.Context(), alice, chat.NewGroup{Title: title, Visibility: store.Public, UniqueTitle: true})
				})
			}
			close(begin)
			wg.Wait()
			made := 0
			for _, err := range results {
				if err == nil {
					made++
				} else {
					requireRefusal(t, titleTaken, err)
				}
			}
			require.Equal(t, 1, made)
		}
	})
}
