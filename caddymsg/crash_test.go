package caddymsg_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// A server under load is killed at a random moment, again and again. Every
// message that was answered with 200 is there afterwards, once, in order.
func TestCrash(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		const rounds, clients = 20, 8
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))

		dir, database := t.TempDir(), engine.NewDatabase(t)
		var (
			group    int64
			people   []*frontdoor.Client
			answered = map[string]lifeMessage{} // by text, which is unique
			stored   []lifeMessage
		)
		for round := range rounds {
			s := frontdoor.Start(t, frontdoor.Options{Dir: dir, Database: database})
			if round == 0 {
				for i := range clients {
					people = append(people, frontdoor.SignUp(t, s.URL, fmt.Sprint("user", i)))
				}
				group = newGroup(people[0])
				for i := 1; i < clients; i++ {
					add(t, people[0], group, fmt.Sprint("user", i))
				}
			}
			for i, c := range people {
				people[i] = lifeAgain(t, c, s.URL)
			}
			stored = lifeCheckCrash(t, people[0], stored, answered)

			// It is killed when so many have been answered, and a little later.
			until, later := 1+random.IntN(150), time.Duration(random.IntN(5000))*time.Microsecond
			answers := make(chan lifeMessage)
			var senders sync.WaitGroup
			for i, c := range people {
				senders.Go(func() {
					for n := 0; ; n++ {
						// By turns to the group, and to the one who sees all.
						text := fmt.Sprintf("round %d, user%d, %d", round, i, n)
						body := fmt.Sprintf(`{"group_chat_id":%d,"message":"%s"}`, group, text)
						if n%2 == 1 {
							body = `{"dest_username":"user0","message":"` + text + `"}`
						}
						r, err := c.Try(t.Context(), http.MethodPost, "/v1/messages", body)
						if err != nil {
							return // the server has gone
						}
						var m lifeMessage
						if err := json.Unmarshal([]byte(r.Text), &m); err != nil || r.StatusCode != http.StatusOK {
							t.Errorf("status %d: %s", r.StatusCode, r.Text)
							return
						}
						answers <- m
					}
				})
			}
			go func() {
				senders.Wait()
				close(answers)
			}()
			counted, last := 0, map[string]int64{}
			for m := range answers {
				answered[m.Text] = m
				require.Greater(t, m.ID, last[m.SenderUsername], "a sender's messages are out of order")
				last[m.SenderUsername] = m.ID
				if counted++; counted == until {
					go func() {
						time.Sleep(later)
						s.Kill()
					}()
				}
			}
			require.GreaterOrEqual(t, counted, until)
			<-s.Done()
		}

		s := frontdoor.Start(t, frontdoor.Options{Dir: dir, Database: database})
		witness := lifeAgain(t, people[0], s.URL)
		stored = lifeCheckCrash(t, witness, stored, answered)
		require.Equal(t, stored, lifeMessages(witness, "/v1/messages"))
		t.Logf("%d messages were answered, %d are stored", len(answered), len(stored))

		db := frontdoor.OpenDatabase(t, database)
		if engine == frontdoor.SQLite {
			var verdict string
			require.NoError(t, db.QueryRow(`PRAGMA integrity_check`).Scan(&verdict))
			require.Equal(t, "ok", verdict)
		}
		var without int
		require.NoError(t, db.QueryRow(`
		SELECT count(*) FROM messages m
		LEFT JOIN events e ON e.message_id = m.id AND e.type = 'message.created'
		WHERE e.id IS NULL`).Scan(&without))
		require.Zero(t, without, "messages have no event")
	})
}

// lifeCheckCrash reads what was stored since it was last called, checks it
// against what was answered, and returns all that is stored.
func lifeCheckCrash(t *testing.T, witness *frontdoor.Client, before []lifeMessage, answered map[string]lifeMessage) []lifeMessage {
	t.Helper()
	path := "/v1/messages"
	if len(before) > 0 {
		path += fmt.Sprint("?after=", before[len(before)-1].ID)
	}
	all := slices.Concat(before, lifeMessages(witness, path))
	seqs := map[int64]int64{}
	byText := make(map[string]lifeMessage, len(all))
	for i, m := range all {
		require.Zero(t, byText[m.Text], "%q is stored twice", m.Text)
		byText[m.Text] = m
		seqs[m.ChatID]++
		require.Equal(t, seqs[m.ChatID], m.Seq, "a gap in chat %d", m.ChatID)
		require.True(t, i == 0 || all[i-1].ID < m.ID, "the list is out of order")
	}
	for text, m := range answered {
		require.Equal(t, m, byText[text], "%q was answered and is not there as it was", text)
	}
	return all
}
