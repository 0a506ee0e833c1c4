//go:build !unix

package pgtest

import (
	"errors"
	"syscall"
)

func unprivileged() (*syscall.SysProcAttr, error) {
	return nil, errors.New("tests start it on Unix only")
}

func handOver(string, *syscall.SysProcAttr) error { return nil }
