package chat_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/caddymsg/messaging/chat"
)

// world is what a few people should see of their chats, told without a
// database: all messages in one list, and who is in which chat.
type world struct {
	people   []chat.Caller
	groups   []int64
	members  map[int64]map[int64]bool // chat, user
	direct   map[[2]int64]int64       // two users, the lower id first; chat
	messages []chat.Message
}

func pair(a, b chat.Caller) [2]int64 {
	return [2]int64{min(a.UserID, b.UserID), max(a.UserID, b.UserID)}
}

// page is what the page of a history should hold of the messages that see
// shows.
func (w *world) page(p chat.Page, see func(chat.Message) bool) []chat.Message {
	var found []chat.Message
	for _, m := range w.messages {
		if see(m) && m.ID > p.After && (p.Before == 0 || m.ID < p.Before) {
			found = append(found, m)
		}
	}
	switch {
	case p.Limit == 0 || len(found) <= p.Limit:
		return found
	case p.After > 0:
		return found[:p.Limit]
	default:
		return found[len(found)-p.Limit:]
	}
}

// Histories are what the model says, for any people, chats, messages, comings
// and goings, pages, and ways to open them.
func TestHistoryAgainstModel(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		// One database for all runs: what others have said in it before must not
		// be seen.
		ctx := context.Background()

		rapid.Check(t, func(t *rapid.T) {
			w := &world{members: map[int64]map[int64]bool{}, direct: map[[2]int64]int64{}}
			for range rapid.IntRange(2, 4).Draw(t, "people") {
				w.people = append(w.people, r.person(t))
			}
			person := rapid.SampledFrom(w.people)
			// someChat is a group or a direct chat, or now and then none.
			someChat := func(t *rapid.T) int64 {
				ids := slices.Clone(w.groups)
				for _, id := range w.direct {
					ids = append(ids, id)
				}
				slices.Sort(ids)
				return rapid.SampledFrom(append(ids, 1<<40)).Draw(t, "chat")
			}
			cursor := func(t *rapid.T, name string) int64 {
				if len(w.messages) == 0 || rapid.Bool().Draw(t, "no "+name) {
					return 0
				}
				m := w.messages[rapid.IntRange(0, len(w.messages)-1).Draw(t, name)]
				return max(0, m.ID+rapid.Int64Range(-1, 1).Draw(t, "beside"))
			}
			check := func(t *rapid.T, h *chat.History, want []chat.Message) {
				if rapid.Bool().Draw(t, "somebody writes meanwhile") && len(w.messages) > 0 {
					m := w.messages[rapid.IntRange(0, len(w.messages)-1).Draw(t, "where")]
					sender := chat.Caller{UserID: m.SenderID, Username: m.SenderUsername}
					if w.members[m.ChatID][m.SenderID] {
						w.messages = append(w.messages, r.flood(t, sender, m.ChatID, 2)...)
					}
				}
				got, err := drain(h)
				require.NoError(t, err)
				require.Equal(t, want, got)
			}
			page := func(t *rapid.T) chat.Page {
				return chat.Page{
					After: cursor(t, "after"), Before: cursor(t, "before"),
					Limit: rapid.SampledFrom([]int{0, 0, 1, 2, 3, 10, batch, chat.MaxListLimit}).Draw(t, "limit"),
				}
			}

			t.Repeat(map[string]func(*rapid.T){
				"create group": func(t *rapid.T) {
					creator := person.Draw(t, "creator")
					group := r.group(t, creator)
					w.groups = append(w.groups, group.ID)
					w.members[group.ID] = map[int64]bool{creator.UserID: true}
				},
				"join": func(t *rapid.T) {
					by, who, id := person.Draw(t, "by"), person.Draw(t, "who"), someChat(t)
					_, err := r.AddParticipant(ctx, by, id, who.Username, "")
					switch {
					case !w.members[id][by.UserID]:
						requireRefusal(t, notAParticipant, err)
					case !slices.Contains(w.groups, id):
						requireRefusal(t, notAGroup, err)
					case w.members[id][who.UserID]:
						requireRefusal(t, refusal{chat.Conflict, "already_a_participant", "username"}, err)
					default:
						require.NoError(t, err)
						w.members[id][who.UserID] = true
					}
				},
				"leave": func(t *rapid.T) {
					by, who, id := person.Draw(t, "by"), person.Draw(t, "who"), someChat(t)
					err := r.RemoveParticipant(ctx, by, id, who.Username)
					switch {
					case !w.members[id][by.UserID]:
						requireRefusal(t, notAParticipant, err)
					case !slices.Contains(w.groups, id):
						requireRefusal(t, notAGroup, err)
					case !w.members[id][who.UserID]:
						requireRefusal(t, refusal{chat.NotFound, "participant_not_found", "username"}, err)
					default:
						require.NoError(t, err)
						delete(w.members[id], who.UserID)
					}
				},
				"send": func(t *rapid.T) {
					from, id := person.Draw(t, "from"), someChat(t)
					m, err := r.Send(ctx, from, chat.Draft{ChatID: id, Text: fmt.Sprint(len(w.messages))})
					if !w.members[id][from.UserID] {
						requireRefusal(t, notAParticipant, err)
						return
					}
					require.NoError(t, err)
					w.messages = append(w.messages, m)
				},
				"send direct": func(t *rapid.T) {
					from, to := person.Draw(t, "from"), person.Draw(t, "to")
					m := r.send(t, from, chat.Draft{To: to.Username, Text: fmt.Sprint(len(w.messages))})
					if id, ok := w.direct[pair(from, to)]; ok {
						require.Equal(t, id, m.ChatID)
					} else {
						require.NotContains(t, w.members, m.ChatID, "it is a chat of its own")
					}
					w.direct[pair(from, to)] = m.ChatID
					w.members[m.ChatID] = map[int64]bool{from.UserID: true, to.UserID: true}
					w.messages = append(w.messages, m)
				},
				"flood": func(t *rapid.T) {
					from, id := person.Draw(t, "from"), someChat(t)
					if !w.members[id][from.UserID] {
						t.Skip("not in it")
					}
					n := rapid.IntRange(1, 2*batch).Draw(t, "n")
					w.messages = append(w.messages, r.flood(t, from, id, n)...)
				},
				"read chat": func(t *rapid.T) {
					reader, id, p := person.Draw(t, "reader"), someChat(t), page(t)
					h, err := r.ChatMessages(ctx, reader, id, p)
					if !w.members[id][reader.UserID] {
						requireRefusal(t, notAParticipant, err)
						return
					}
					require.NoError(t, err)
					check(t, h, w.page(p, func(m chat.Message) bool { return m.ChatID == id }))
				},
				"read direct": func(t *rapid.T) {
					reader, other, p := person.Draw(t, "reader"), person.Draw(t, "other"), page(t)
					h, err := r.DirectMessages(ctx, reader, other.Username, p)
					require.NoError(t, err)
					check(t, h, w.page(p, func(m chat.Message) bool {
						id, ok := w.direct[pair(reader, other)]
						return ok && m.ChatID == id
					}))
				},
				"read all": func(t *rapid.T) {
					reader, p := person.Draw(t, "reader"), page(t)
					h, err := r.Messages(ctx, reader, p)
					require.NoError(t, err)
					check(t, h, w.page(p, func(m chat.Message) bool { return w.members[m.ChatID][reader.UserID] }))
				},
			})
		})
	})
}
