package chat

import "github.com/caddymsg/messaging/store"

func isGroupAdmin(p store.Participant) bool { return p.Role == store.Owner || p.Role == store.Admin }
