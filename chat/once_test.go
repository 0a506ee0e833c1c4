package chat

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

type made struct {
	N      int
	Secret string
}

func TestOnce(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), store.Options{Database: t.TempDir() + "/once.db"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	var people [2]Caller
	require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error {
		for i, name := range []string{"ada", "bob"} {
			u := store.User{Username: name, UsernameKey: name, CreatedAt: time.Now()}
			if err := tx.CreateUser(&u); err != nil {
				return err
			}
			people[i] = Caller{UserID: u.ID, Username: name}
		}
		return nil
	}))
	n := 0
	ask := func(caller Caller, key, operation string) (made, error) {
		var result made
		err := s.Update(t.Context(), func(tx *store.Tx) error {
			return Once(tx, caller, key, operation, time.Now(), &result, func() error {
				n++
				result = made{n, "the secret"}
				return nil
			})
		})
		return result, err
	}
	for _, c := range []struct {
		what           string
		caller         Caller
		key, operation string
		want           int
	}{
		{"first", people[0], "k", "invite", 1},
		{"again: the first answer", people[0], "k", "invite", 1},
		{"another key", people[0], "l", "invite", 2},
		{"another person's key of the same name", people[1], "k", "invite", 3},
		{"no key", people[0], "", "invite", 4},
		{"no key again", people[0], "", "invite", 5},
		{"still the first answer", people[0], "k", "invite", 1},
	} {
		got, err := ask(c.caller, c.key, c.operation)
		require.NoError(t, err, c.what)
		require.Equal(t, made{c.want, "the secret"}, got, c.what)
	}
	for key, code := range map[string]string{
		"k":                       "idempotency_key_reused",
		"line\n":                  "idempotency_key_invalid",
		string(make([]byte, 129)): "idempotency_key_invalid",
		"not UTF-8: \xff":         "idempotency_key_invalid",
	} {
		_, err := ask(people[0], key, "another operation")
		refusal := AsError(err)
		require.NotNil(t, refusal, key)
		require.Equal(t, Invalid, refusal.Kind)
		require.Equal(t, code, refusal.Code)
		require.Equal(t, "Idempotency-Key", refusal.Field)
	}

	// Neither the key nor the secret can be read out of the database.
	hash, _, err := keyed(people[0], "k")
	require.NoError(t, err)
	require.NoError(t, s.View(t.Context(), func(tx *store.Tx) error {
		answer, err := tx.FindAnswer(people[0].UserID, hash)
		require.NoError(t, err)
		require.NotContains(t, string(answer.Body), "secret")
		_, other, err := keyed(people[0], "another")
		require.NoError(t, err)
		var result made
		require.Error(t, unseal(other, answer, &result))
		return nil
	}))
}
