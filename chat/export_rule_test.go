package chat_test

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

func export(tb testing.TB, r *rules, caller chat.Caller) *chat.Export {
	tb.Helper()
	e, err := r.Export(context.Background(), caller)
	require.NoError(tb, err)
	return e
}

func collect[T any](tb testing.TB, values iter.Seq2[T, error]) (all []T) {
	tb.Helper()
	for v, err := range values {
		require.NoError(tb, err)
		all = append(all, v)
	}
	return all
}

// Lists are read in parts, of which none gets lost, and none comes twice.
func TestExportInParts(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		ann, ben := r.person(t), r.person(t)
		const chats = 2*chat.ExportedRows + 1
		for range chats {
			r.group(t, ann)
		}
		busy, left := r.group(t, ann, ben), r.group(t, ben, ann)
		// Parts of others' messages alone, and one that ends with the last message.
		theirs := r.flood(t, ben, busy.ID, chat.ExportedMessages+10)
		var want []int64
		for _, m := range r.flood(t, ann, busy.ID, chat.ExportedMessages-10) {
			want = append(want, m.ID)
		}
		want = append(want, r.send(t, ann, chat.Draft{ChatID: left.ID, Text: "in a group that is left"}).ID)
		require.NoError(t, r.RemoveParticipant(t.Context(), ann, left.ID, ann.Username))
		for _, m := range theirs[:chat.ExportedRows] {
			require.NoError(t, r.HideMessage(t.Context(), ann, m.ID))
		}
		last := theirs[len(theirs)-1]
		_, err := r.React(t.Context(), ann, last.ID, "👍")
		require.NoError(t, err)
		require.NoError(t, r.store.Update(t.Context(), func(tx *store.Tx) error {
			for i := range 2 * chat.ExportedRows {
				for _, e := range []store.AuditEntry{
					{Action: fmt.Sprint("by ", i), ActorID: ann.UserID, CreatedAt: time.Now()},
					{Action: fmt.Sprint("to ", i), UserID: ann.UserID, CreatedAt: time.Now()},
				} {
					if err := tx.CreateAuditEntry(&e); err != nil {
						return err
					}
				}
			}
			return nil
		}))

		e := export(t, r, ann)
		require.Len(t, collect(t, e.Chats()), chats+2)
		require.Len(t, collect(t, e.Participants()), chats+2, "of the group that is left, nobody's")
		var got []int64
		for _, m := range collect(t, e.Messages()) {
			got = append(got, m.ID)
		}
		require.Equal(t, want, got)
		require.Len(t, collect(t, e.Hidden()), chat.ExportedRows)
		activity := collect(t, e.Activity())
		require.Len(t, activity, 1)
		require.Equal(t, last.ID, activity[0].MessageID)
		entries := map[int64]int{}
		for _, entry := range collect(t, e.AuditEntries()) {
			entries[entry.ID]++
		}
		require.Len(t, entries, 4*chat.ExportedRows+1, "and that she has registered")
		for id, times := range entries {
			require.Equal(t, 1, times, id)
		}
		require.Empty(t, collect(t, e.Blocks()))
		require.Empty(t, collect(t, e.Sessions()))
		require.Empty(t, collect(t, e.Invitations()))
		require.Empty(t, collect(t, export(t, r, r.person(t)).Messages()))
	})
}

// Who was removed, and is there again, has the chat once.
func TestExportOfSomebodyWhoIsBack(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		ann, ben := r.person(t), r.person(t)
		group, gone := r.group(t, ann, ben), r.group(t, ann, ben)
		r.send(t, ben, chat.Draft{ChatID: group.ID, Text: "text"})
		r.send(t, ben, chat.Draft{ChatID: gone.ID, Text: "text"})
		require.NoError(t, r.RemoveParticipant(t.Context(), ann, group.ID, ben.Username))
		require.NoError(t, r.RemoveParticipant(t.Context(), ann, gone.ID, ben.Username))
		_, err := r.AddParticipant(t.Context(), ann, group.ID, ben.Username, "")
		require.NoError(t, err)
		require.Len(t, collect(t, export(t, r, ben).Messages()), 2)
		require.NoError(t, r.DeleteGroup(t.Context(), ann, gone.ID))

		e := export(t, r, ben)
		chats := collect(t, e.Chats())
		require.Len(t, chats, 1)
		require.NotNil(t, chats[0].Participant)
		require.Len(t, collect(t, e.Messages()), 1)
	})
}

// Nothing more is read once nobody wants more, and a list that can't be read further
// says so, once.
func TestExportEnds(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		ann := r.person(t)
		group := r.group(t, ann)
		r.flood(t, ann, group.ID, 2*chat.ExportedMessages)
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		e, err := r.Export(ctx, ann)
		require.NoError(t, err)
		read, failures := 0, 0
		for _, err := range e.Messages() {
			if err != nil {
				require.ErrorIs(t, err, context.Canceled)
				failures++
				continue
			}
			if read++; read == 1 {
				leave()
			}
		}
		require.Equal(t, chat.ExportedMessages, read, "what had been read already")
		require.Equal(t, 1, failures)

		for _, err := range export(t, r, ann).Messages() {
			require.NoError(t, err)
			break
		}
	})
}

func TestExportRefusals(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		ann := r.person(t)
		key := ann
		key.Scopes = chat.ReadScope | chat.WriteScope | chat.AdminScope
		_, err := r.Export(t.Context(), key)
		requireRefusal(t, refusal{chat.Forbidden, "insufficient_scope", ""}, err)
		require.NoError(t, r.DeleteMe(t.Context(), ann))
		_, err = r.Export(t.Context(), ann)
		requireRefusal(t, refusal{chat.Unauthenticated, "unauthenticated", ""}, err)
	})
}
