//go:build !linux

package pgtest

func parent() string { return "" }
