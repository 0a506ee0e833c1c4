package auth

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"hash/crc32"
	"strings"
)

// What our tokens begin with, so that scanners for secrets know them
// (docs/security.md has the regular expression).
const (
	accessPrefix  = "cmsg_at_"
	refreshPrefix = "cmsg_rt_"
	keyPrefix     = "cmsg_key_"
	resetPrefix   = "cmsg_reset_"
	verifyPrefix  = "cmsg_mail_"

	invitationPrefix = "cmsg_inv_"
)

const (
	randomLength   = 26 // of rand.Text: 130 bits
	checksumLength = 7
)

// newToken makes a token: a prefix, something random, and a checksum, by which one
// that was mistyped or cut off is told from one that has ended.
func newToken(prefix string) string { return checked(prefix + rand.Text()) }

// newRefreshToken makes a refresh token of a family: what all its tokens begin with.
func newRefreshToken(family string) string { return checked(family + rand.Text()) }

func newFamily() string { return refreshPrefix + rand.Text() }

// familyOf is the family of a refresh token, or empty if it can't be one.
func familyOf(token string) string {
	if !wellFormed(token, refreshPrefix, 2*randomLength) {
		return ""
	}
	return token[:len(refreshPrefix)+randomLength]
}

func checked(token string) string {
	sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(token)))
	return token + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum)
}

// wellFormed tells whether a token is one that newToken could have made; length is of
// what is random of it.
func wellFormed(token, prefix string, length int) bool {
	return len(token) == len(prefix)+length+checksumLength && strings.HasPrefix(token, prefix) &&
		token == checked(token[:len(token)-checksumLength])
}

// isBearer tells whether a token may stand for its owner in a request.
func isBearer(token string) bool {
	return wellFormed(token, accessPrefix, randomLength) || wellFormed(token, keyPrefix, randomLength)
}
