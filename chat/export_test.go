package chat

// UnindexMessage is what edits and deletions call.
var UnindexMessage = unindexMessage

// SetMaxParticipants has groups be full earlier.
func (s *Service) SetMaxParticipants(n int) { s.maxParticipants = n }

// Snippet is tested by itself.
var Snippet = snippet
