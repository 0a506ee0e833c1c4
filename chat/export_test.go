package chat

// UnindexMessage is what edits and deletions call.
var UnindexMessage = unindexMessage

// Snippet is tested by itself.
var Snippet = snippet
