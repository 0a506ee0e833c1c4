package chat_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

// A time of whole seconds is a range; what is no time is ignored.
func TestFilterBySecond(t *testing.T) {
	t.Parallel()
	fields := map[string]chat.Field{"at": {Column: chat.MessageCreatedAt, Type: chat.SecondField}}
	second := time.Date(2021, 5, 20, 13, 47, 20, 0, time.UTC).UnixMicro()
	within := []store.Condition{
		{Field: chat.MessageCreatedAt, Match: store.Above, Value: second - 1},
		{Field: chat.MessageCreatedAt, Match: store.Below, Value: second + 1_000_000},
	}
	for value, want := range map[string][]store.Condition{
		"Thu, 20 May 2021 13:47:20 -0000":     within,
		"Thu, 20 May 2021 15:47:20 +0200":     within,
		"2021-05-20T13:47:20Z":                within,
		"2021-05-20T13:47:20.999999Z":         within,
		"2021-05-20T15:47:20+02:00":           within,
		"":                                    nil,
		"20 May 2021":                         nil,
		"Thu, 20 May 2021 13:47:20 -0000\x00": nil,
		"1621518440":                          nil,
	} {
		require.Equal(t, want, chat.ParseFilter([]chat.Param{{Name: "at", Value: value}}, fields).Where, value)
	}
	require.Equal(t, "Thu, 20 May 2021 13:47:20 -0000", time.UnixMicro(second).UTC().Format(chat.SecondFormat))
	require.Equal(t, "Sun, 02 May 2021 00:00:00 -0000", time.Date(2021, 5, 2, 0, 0, 0, 0, time.UTC).Format(chat.SecondFormat))
}

// A number that is further than numbers go is one, which nothing has: it is not ignored,
// else the list had everything.
func TestFilterBeyondNumbers(t *testing.T) {
	t.Parallel()
	fields := map[string]chat.Field{"id": {Column: chat.UserID, Type: chat.NumberField}}
	for value, want := range map[string][]store.Condition{
		"99999999999999999999":  {{Field: chat.UserID, Value: int64(math.MaxInt64)}},
		"-99999999999999999999": {{Field: chat.UserID, Value: int64(math.MinInt64)}},
		"1e3":                   nil,
	} {
		require.Equal(t, want, chat.ParseFilter([]chat.Param{{Name: "id", Value: value}}, fields).Where, value)
	}
}
