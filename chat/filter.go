package chat

import (
	"errors"
	"strconv"
	"time"

	"github.com/caddymsg/messaging/store"
)

// Filter says which of the things of a list one wants, in which order.
type Filter = store.Filter

// Param is a parameter of a query string.
type Param struct{ Name, Value string }

// Field is what a list can be filtered and sorted by.
type Field struct {
	Column store.Field
	Type   FieldType
}

// The columns that there are fields for.
const (
	UserID          = store.UserID
	UserUsername    = store.UserUsername
	UserDisplayName = store.UserDisplayName
	UserShownName   = store.UserShownName
	UserAbout       = store.UserAbout
	UserCreatedAt   = store.UserCreatedAt
	UserEmail       = store.UserEmail // these are for admins alone
	UserAdmin       = store.UserAdmin
	UserDeactivated = store.UserDeactivated

	MessageID             = store.MessageID
	MessageChatID         = store.MessageChatID
	MessageSeq            = store.MessageSeq
	MessageSenderID       = store.MessageSenderID
	MessageSenderUsername = store.MessageSenderUsername
	MessageText           = store.MessageText
	MessageCreatedAt      = store.MessageCreatedAt
	MessageReceiverID     = store.MessageReceiverID
)

// FieldType is what a field holds.
type FieldType int

// The types of field.
const (
	TextField FieldType = iota
	NumberField
	TimeField // RFC 3339
	BoolField // true or false
	// SecondField is a time of which the whole second counts: RFC 3339, or RFC 822 with
	// the year in full, as [SecondFormat] has it (contract 1).
	SecondField
)

// SecondFormat is how APIs show a time that is compared by its whole second. It is in UTC.
const SecondFormat = "Mon, 02 Jan 2006 15:04:05 -0000"

// ParseFilter reads a filter from a query string, whose parameters it takes in
// their order, and of each the first (contract 1, "Query filters"):
//
//	<field>=<value>        is just that
//	<field>-like=<text>    contains it, of texts; ASCII letters of both cases are the same
//	ordered-by=<field>, ordered-by-desc=<field>
//	limit=<number>, offset=<number>
//
// What is not valid is ignored. The fields have the names of the API that asks.
func ParseFilter(params []Param, fields map[string]Field) Filter {
	var f Filter
	seen, sorted := map[string]bool{}, map[string]bool{}
	for _, p := range params {
		switch p.Name {
		case "ordered-by", "ordered-by-desc":
			if field, ok := fields[p.Value]; ok && !sorted[p.Value] {
				sorted[p.Value] = true
				f.Order = append(f.Order, store.Order{Field: field.Column, Descending: p.Name == "ordered-by-desc"})
			}
			continue
		}
		if seen[p.Name] {
			continue
		}
		switch p.Name {
		case "limit", "offset":
			n, err := strconv.Atoi(p.Value)
			if err != nil || n < 0 {
				continue
			}
			if p.Name == "limit" {
				f.Limited, f.Limit = true, n
			} else {
				f.Offset = n
			}
		default:
			conditions, ok := parseConditions(p, fields)
			if !ok {
				continue
			}
			f.Where = append(f.Where, conditions...)
		}
		seen[p.Name] = true
	}
	return f
}

func parseConditions(p Param, fields map[string]Field) ([]store.Condition, bool) {
	const like = "-like"
	if n := len(p.Name) - len(like); n > 0 && p.Name[n:] == like {
		field, ok := fields[p.Name[:n]]
		return []store.Condition{{Field: field.Column, Match: store.Contains, Value: p.Value}},
			ok && field.Type == TextField && storable(p.Value)
	}
	field, ok := fields[p.Name]
	if !ok {
		return nil, false
	}
	is := func(value any) []store.Condition { return []store.Condition{{Field: field.Column, Value: value}} }
	switch field.Type {
	case TextField:
		return is(p.Value), storable(p.Value)
	case NumberField:
		n, err := strconv.ParseInt(p.Value, 10, 64)
		// Beyond what there is, it is the last that there is, which nothing has.
		return is(n), err == nil || errors.Is(err, strconv.ErrRange)
	case TimeField:
		at, err := time.Parse(time.RFC3339, p.Value)
		return is(at.UnixMicro()), err == nil
	case SecondField:
		second, ok := parseSecond(p.Value)
		return []store.Condition{
			{Field: field.Column, Match: store.Above, Value: second.UnixMicro() - 1},
			{Field: field.Column, Match: store.Below, Value: second.Add(time.Second).UnixMicro()},
		}, ok
	case BoolField:
		if p.Value == "true" {
			return is(int64(1)), true
		}
		return is(int64(0)), p.Value == "false"
	}
	return nil, false
}

// parseSecond reads a time, and leaves out what is beyond its second.
func parseSecond(s string) (time.Time, bool) {
	for _, layout := range []string{"Mon, 2 Jan 2006 15:04:05 -0700", time.RFC3339} {
		if at, err := time.Parse(layout, s); err == nil {
			return at.Truncate(time.Second), true
		}
	}
	return time.Time{}, false
}
