package caddymsg_test

import (
	"bufio"
	"os"
	"os/exec"
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
		bash, err := exec.LookPath("bash")
		if err != nil {
			t.Skip("bash is not installed")
		}
		if _, err := exec.LookPath("curl"); err != nil {
			t.Skip("curl is not installed")
		}
		_, tour, found := strings.Cut(readme(t), "<!-- tour")
		require.True(t, found, "the README has no tour")
		tour, _, found = strings.Cut(tour, "<!-- end of the tour -->")
		require.True(t, found, "the README's tour has no end")
		steps := regexp.MustCompile("(?s)```sh\n(.*?)\n```\n```\\w*\n(.*?)\n```\n").FindAllStringSubmatch(tour, -1)
		require.Len(t, steps, strings.Count(tour, "```sh\n"), "a step of the tour does not show what it prints")
		require.NotEmpty(t, steps)

		address := strings.TrimPrefix(frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t)}).URL, "http://")
		folder := t.TempDir()
		for _, step := range steps {
			var printed []string
			heard := func() {} // what a command in the background prints then
			for command := range strings.Lines(step[1]) {
				command, background := strings.CutSuffix(strings.TrimSpace(command), " &")
				cmd := exec.CommandContext(t.Context(), bash, "-c", "exec "+strings.ReplaceAll(command, "localhost:12000", address))
				cmd.Dir = folder
				cmd.Env = append(os.Environ(), "no_proxy=*")
				if background {
					listening := frontdoor.NewClient(t, "http://"+address)
					listening.Post("/v1/auth/login", `{"username": "bob", "password": "battery staple"}`).Want(200)
					settle(t, listening)
					event := listenInBackground(t, cmd)
					printed = append(printed, event()+"\n")
					heard = func() { printed = append(printed, event()) }
					continue
				}
				out, err := cmd.Output()
				require.NoError(t, err, command)
				if strings.HasPrefix(command, "sleep ") {
					continue
				}
				printed = append(printed, strings.TrimSuffix(strings.ReplaceAll(string(out), "\r", ""), "\n"))
			}
			heard()
			require.Regexp(t, examplePattern(step[2]), strings.Join(printed, "\n"), step[1])
		}
	})
}

// listenInBackground starts a command that prints server-sent events, and returns what
// waits for the next one.
func listenInBackground(t *testing.T, cmd *exec.Cmd) (event func() string) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	return func() string {
		t.Helper()
		var event []string
		for lines.Scan() {
			if lines.Text() == "" {
				return strings.Join(event, "\n")
			}
			event = append(event, lines.Text())
		}
		require.Fail(t, "the command has ended")
		return ""
	}
}

// varying is what an example leaves out, and what no two runs have in common:
// times and request ids.
var varying = regexp.MustCompile(`…|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// examplePattern matches what an example stands for.
func examplePattern(example string) *regexp.Regexp {
	var pattern strings.Builder
	pattern.WriteString(`(?s)\A`)
	rest := 0
	for _, at := range varying.FindAllStringIndex(example, -1) {
		pattern.WriteString(regexp.QuoteMeta(example[rest:at[0]]))
		if example[at[0]:at[1]] == "…" {
			pattern.WriteString(`.*?`)
		} else {
			pattern.WriteString(`[-0-9a-fTZ:.]+`)
		}
		rest = at[1]
	}
	pattern.WriteString(regexp.QuoteMeta(example[rest:]) + `\z`)
	return regexp.MustCompile(pattern.String())
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
