package caddymsg_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// TestREADMETour runs the commands of the README's tour as its reader does.
func TestREADMETour(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		address := strings.TrimPrefix(frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t)}).URL, "http://")
		frontdoor.Tour{
			Text: readme(t), Addresses: map[string]string{"localhost:12000": address},
			BeforeListening: func() {
				listening := frontdoor.NewClient(t, "http://"+address)
				listening.Post("/v1/auth/login", `{"username": "bob", "password": "battery staple"}`).Want(200)
				settle(t, listening)
			},
		}.Run(t)
	})
}

// TestREADMEConfigurations validates the Caddyfiles and the JSON of the README.
func TestREADMEConfigurations(t *testing.T) {
	t.Parallel()
	for name, example := range map[string]struct{ adapter, pattern string }{
		"Caddyfile": {"caddyfile", "(?s)```\n(chat\\.example\\.com \\{\n.*?)```"},
		"JSON":      {"", "(?s)```json\n(\\{\n.*?)```"},
	} {
		configurations := regexp.MustCompile(example.pattern).FindAllStringSubmatch(readme(t), -1)
		require.NotEmpty(t, configurations, name)
		for _, configuration := range configurations {
			dir := t.TempDir()
			path := filepath.Join(dir, "configuration")
			require.NoError(t, os.WriteFile(path, []byte(configuration[1]), 0o600))
			cmd, err := frontdoor.Command(t.Context(), frontdoor.Options{Dir: dir},
				"validate", "--config", path, "--adapter", example.adapter)
			require.NoError(t, err)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s\n%s", configuration[1], out)
		}
	}
}

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	require.NoError(t, err)
	return string(text)
}
