package messenger

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// kind is of what an id names. It is what a UUID begins with, so that one of a chat is
// not taken for one of a user.
type kind uint32

const (
	userKind kind = iota + 1
	chatKind
	messageKind
)

// uuid is the name of an id in this system: a UUID of version 4 by its form. Its first
// group is the kind; the second, and behind what the form demands the last, are the id.
//
//	00000001-0000-4000-8000-00000000002a is user 42
func uuid(k kind, id int64) string {
	var b [16]byte
	binary.BigEndian.PutUint32(b[:], uint32(k))
	binary.BigEndian.PutUint16(b[4:], uint16(id>>48))  //nolint:gosec // ids are not below 0
	binary.BigEndian.PutUint64(b[8:], uint64(id)&lows) //nolint:gosec // as above
	b[6], b[8] = 0x40, 0x80
	s := hex.EncodeToString(b[:])
	return strings.Join([]string{s[:8], s[8:12], s[12:16], s[16:20], s[20:]}, "-")
}

// lows are the bits of an id that stand in the last group.
const lows = 1<<48 - 1

// unknown is an id that nothing has. Not 0, by which the rules are told that nothing is
// named: all chats, where there is a choice.
const unknown = -1

// parseUUID reads a UUID in any of the forms that there are. It is unknown if it is none
// of ours, or of another kind; ok is false if it is no UUID.
func parseUUID(k kind, s string) (id int64, ok bool) {
	s = strings.TrimPrefix(s, "urn:uuid:")
	if inner, found := strings.CutPrefix(s, "{"); found {
		if s, found = strings.CutSuffix(inner, "}"); !found {
			return unknown, false
		}
	}
	if len(s) == 36 {
		if s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
			return unknown, false
		}
		s = s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 16 {
		return unknown, false
	}
	high, low := binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint64(b[8:])
	if kind(binary.BigEndian.Uint32(b)) != k || b[6] != 0x40 || b[7] != 0 || low&^lows != 0x8000<<48 || high > 0x7fff {
		return unknown, true
	}
	if id = int64(high)<<48 | int64(low&lows); id == 0 {
		return unknown, true
	}
	return id, true
}
