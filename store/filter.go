package store

import (
	"fmt"
	"math"
	"strings"
)

// Field is a column that a [Filter] may name. There are constants for all of
// them: what comes from outside never gets into a query as text.
type Field string

// Filter says which rows of a list one wants, in which order. The zero Filter
// is all of them.
type Filter struct {
	Where   []Condition // all must hold
	Terms   []Term      // of the search index: all must be found; only of users
	Order   []Order     // the first counts most; then comes the id
	Limited bool        // to Limit rows; else there is no limit
	Limit   int
	Offset  int // so many rows are left out first
}

// Condition is one that a row must meet.
type Condition struct {
	Field Field
	Match Match
	Value any // an int64 or a string
}

// Match is how a field is compared.
type Match int

// The ways to compare.
const (
	Equal    Match = iota
	Contains       // a text, upper and lower case of ASCII being the same
	NotEqual
	Above
	Below
	Missing // it is NULL; there is no value
)

// Order is a field to sort by. Texts are sorted by their bytes.
type Order struct {
	Field      Field
	Descending bool
}

// operators are those of SQL, for each way to compare that has one.
var operators = map[Match]string{Equal: "=", NotEqual: "<>", Above: ">", Below: "<"}

// sql is what stands behind the FROM of a list, with its arguments: the filter
// beside what must hold anyway, whose arguments are given.
func (f Filter) sql(d dialect, must string, id Field, given ...any) (string, []any) {
	var b strings.Builder
	args := arguments(given)
	b.WriteString(f.where(d, must, id, &args))
	b.WriteString(" ORDER BY ")
	for _, o := range f.Order {
		fmt.Fprintf(&b, "%s%s, ", o.Field, descending(o.Descending))
	}
	// The last resort has the direction of what comes before it, so that the
	// order turned round is the list turned round.
	fmt.Fprintf(&b, "%s%s", id, descending(len(f.Order) > 0 && f.Order[len(f.Order)-1].Descending))
	limit := math.MaxInt64
	if f.Limited {
		limit = f.Limit
	}
	b.WriteString(" LIMIT " + args.add(limit) + " OFFSET " + args.add(f.Offset))
	return b.String(), args
}

// where is the part of sql that says which rows.
func (f Filter) where(d dialect, must string, id Field, args *arguments) string {
	var b strings.Builder
	b.WriteString(" WHERE " + must)
	if len(f.Terms) > 0 {
		fmt.Fprintf(&b, " AND %s IN (%s)", id, idsOf(args, "search_terms s WHERE s.space = 0", f.Terms))
	}
	for _, c := range f.Where {
		switch c.Match {
		case Equal, NotEqual, Above, Below:
			fmt.Fprintf(&b, " AND %s %s %s", c.Field, operators[c.Match], args.add(c.Value))
		case Missing:
			fmt.Fprintf(&b, " AND %s IS NULL", c.Field)
		case Contains:
			fmt.Fprintf(&b, " AND %s(lower(%s), %s) > 0", d.position, c.Field, args.add(lowerASCII(fmt.Sprint(c.Value))))
		}
	}
	return b.String()
}

func descending(yes bool) string {
	if yes {
		return " DESC"
	}
	return ""
}

// lowerASCII is what lower() does in SQLite, and in PostgreSQL to a column of
// the collation "C".
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}
