package store

// Span is a run of ids: those above After and below Before. It is read from
// its start or, if FromEnd is set, from its end.
type Span struct {
	After, Before int64
	FromEnd       bool
}

// Cut returns the part of a span that is read first, width ids wide.
func (s Span) Cut(width int64) Span {
	if s.Before-s.After-1 <= width {
		return s
	}
	if s.FromEnd {
		s.After = s.Before - width - 1
	} else {
		s.Before = s.After + width + 1
	}
	return s
}

// Without returns what is left of a span when such a part of it has been read.
func (s Span) Without(part Span) Span {
	if s.FromEnd {
		s.Before = part.After + 1
	} else {
		s.After = part.Before - 1
	}
	return s
}

// direction is that of ORDER BY.
func (s Span) direction() string {
	if s.FromEnd {
		return " DESC"
	}
	return ""
}
