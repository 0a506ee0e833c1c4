package chat

// UnindexMessage is what edits and deletions call.
var UnindexMessage = unindexMessage

// Unpanicked keeps the work behind the requests from ending the process.
var Unpanicked = unpanicked

// LookedAtOnce is the bound of a search.
const LookedAtOnce = lookedAtOnce

// SetMaxParticipants has groups be full earlier.
func (s *Service) SetMaxParticipants(n int) { s.maxParticipants = n }

// Snippet is tested by itself.
var Snippet = snippet

// ReadAtOnce is how much of a history is read at once, and TitlesAtOnce of groups.
const (
	ReadAtOnce   = readAtOnce
	TitlesAtOnce = titlesAtOnce
)

// How much of an export is read at once.
const (
	ExportedRows     = exportedRows
	ExportedMessages = exportedMessages
)
