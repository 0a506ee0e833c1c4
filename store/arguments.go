package store

import (
	"fmt"
	"strings"
)

// arguments of a query that is being put together.
type arguments []any

// add adds one, and returns its placeholder.
func (a *arguments) add(v any) string {
	*a = append(*a, v)
	return fmt.Sprintf("?%d", len(*a))
}

// among adds some, and returns the inside of the IN (…) that asks for one of them.
// There are few lengths of it, so that queries can be kept prepared: the rest is
// the last one again or, where there is none, what nothing has.
func among[T any](a *arguments, values []T) string {
	var last T
	var placeholders []string
	for size := 1; len(placeholders) < size; {
		if i := len(placeholders); i < len(values) {
			last = values[i]
		}
		placeholders = append(placeholders, a.add(last))
		if len(placeholders) == size && size < len(values) {
			size *= 2
		}
	}
	return strings.Join(placeholders, ", ")
}

// maxRows is the most rows that a statement adds.
const maxRows = 128

// inParts calls fn with parts of a list, each as long as a power of two: there
// are few different statements, and all of them stay prepared.
func inParts[T any](all []T, fn func([]T) error) error {
	for size := maxRows; size > 0; size /= 2 {
		for len(all) >= size {
			if err := fn(all[:size]); err != nil {
				return err
			}
			all = all[size:]
		}
	}
	return nil
}
