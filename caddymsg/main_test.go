package caddymsg_test

import (
	"os"
	"testing"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

func TestMain(m *testing.M) {
	frontdoor.ActAsCaddy()
	os.Exit(m.Run())
}
