package fold

import (
	"cmp"
	"slices"
	"strings"
)

// Query is what somebody looks for: words that a text must have, all of them,
// each at least as the beginning of one.
type Query struct {
	items []item
}

// item is a word; or, in a script without spaces, characters that stand side by
// side.
type item struct {
	terms    []string
	unspaced bool
}

// ParseQuery cuts up what somebody has typed.
func ParseQuery(typed string) Query {
	var q Query
	for _, u := range scan(typed) {
		if u.joined {
			last := &q.items[len(q.items)-1]
			last.terms = append(last.terms, u.term)
			continue
		}
		q.items = append(q.items, item{terms: []string{u.term}, unspaced: u.unspaced})
	}
	return q
}

// Empty tells that there is nothing to look for.
func (q Query) Empty() bool { return len(q.items) == 0 }

// Wanted is a term that a text must have or, if it is a prefix, that one of the
// text's terms begins with.
type Wanted struct {
	Term   string
	Prefix bool
}

// Wanted returns what the index is to be asked for, at most so many, those first
// that fewest texts will have. Where that is not all there is to a query, or the
// index is behind, [Query.Match] tells.
func (q Query) Wanted(limit int) []Wanted {
	var all []Wanted
	for _, i := range q.items {
		for n := range max(1, len(i.terms)-1) {
			last := n+2 >= len(i.terms)
			all = append(all, Wanted{Term: cut(strings.Join(i.terms[n:min(n+2, len(i.terms))], "")), Prefix: last})
		}
	}
	slices.SortStableFunc(all, func(a, b Wanted) int { return cmp.Compare(len(b.Term), len(a.Term)) })
	var wanted []Wanted
	for _, w := range all {
		implied := slices.ContainsFunc(wanted, func(longer Wanted) bool {
			return w == longer || w.Prefix && strings.HasPrefix(longer.Term, w.Term)
		})
		if !implied && len(wanted) < limit {
			wanted = append(wanted, w)
		}
	}
	return wanted
}

// Range is a part of a text, in characters (code points).
type Range struct{ Start, End int }

// Match tells whether a text has all of a query, and where: ranges that do not
// touch, in their order.
func (q Query) Match(text string) ([]Range, bool) {
	units := scan(text)
	var found []Range
	for _, i := range q.items {
		before := len(found)
		for at := range units {
			if end, ok := i.match(units[at:]); ok {
				found = append(found, Range{units[at].start, end})
			}
		}
		if len(found) == before {
			return nil, false
		}
	}
	return merge(found), true
}

// match tells whether units begin with an item, and where that ends.
func (i item) match(units []unit) (end int, ok bool) {
	if len(units) < len(i.terms) {
		return 0, false
	}
	for n, want := range i.terms {
		u := units[n]
		switch {
		case u.unspaced != i.unspaced, n > 0 && !u.joined, !strings.HasPrefix(u.term, want),
			n < len(i.terms)-1 && u.term != want:
			return 0, false
		}
		end = u.end
	}
	return end, true
}

func merge(ranges []Range) []Range {
	slices.SortFunc(ranges, func(a, b Range) int { return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End)) })
	var merged []Range
	for _, r := range ranges {
		if n := len(merged); n > 0 && r.Start <= merged[n-1].End {
			merged[n-1].End = max(merged[n-1].End, r.End)
			continue
		}
		merged = append(merged, r)
	}
	return merged
}
