package v1

import (
	"strconv"
	"strings"
)

// chatID reads a chat's id from a path. What is not all digits is no path of
// this API (contract 0: 404); a number that no chat can have is a chat that
// does not exist.
func chatID(s string) (int64, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, errNoSuchPath
	}
	id, _ := strconv.ParseInt(s, 10, 64) // noChat, if the number is too large
	return id, nil
}
