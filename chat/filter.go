package chat

import (
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
)

// FieldType is what a field holds.
type FieldType int

// The types of field.
const (
	TextField FieldType = iota
	NumberField
	TimeField // RFC 3339
	BoolField // true or false
)

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
			condition, ok := parseCondition(p, fields)
			if !ok {
				continue
			}
			f.Where = append(f.Where, condition)
		}
		seen[p.Name] = true
	}
	return f
}

func parseCondition(p Param, fields map[string]Field) (store.Condition, bool) {
	const like = "-like"
	if n := len(p.Name) - len(like); n > 0 && p.Name[n:] == like {
		field, ok := fields[p.Name[:n]]
		return store.Condition{Field: field.Column, Match: store.Contains, Value: p.Value},
			ok && field.Type == TextField && storable(p.Value)
	}
	field, ok := fields[p.Name]
	if !ok {
		return store.Condition{}, false
	}
	c := store.Condition{Field: field.Column}
	switch field.Type {
	case TextField:
		c.Value = p.Value
		return c, storable(p.Value)
	case NumberField:
		n, err := strconv.ParseInt(p.Value, 10, 64)
		c.Value = n
		return c, err == nil
	case TimeField:
		at, err := time.Parse(time.RFC3339, p.Value)
		c.Value = at.UnixMicro()
		return c, err == nil
	case BoolField:
		c.Value = int64(0)
		if p.Value == "true" {
			c.Value = int64(1)
		}
		return c, p.Value == "true" || p.Value == "false"
	}
	return store.Condition{}, false
}
