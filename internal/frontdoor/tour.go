package frontdoor

import (
	"bufio"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Tour is a text with commands and what they print, as a reader would follow it.
type Tour struct {
	// Text is in Markdown. What counts stands between "<!-- tour" and "<!-- end of the
	// tour -->": a block of commands, and a block of what they print.
	Text string
	// Addresses has, for each address in the text, that of the server to ask.
	Addresses map[string]string
	// BeforeListening is called before a command that goes on in the background.
	BeforeListening func()
	// Env is added to the environment of the commands.
	Env []string
}

// Run runs the commands. The test fails where they print something else.
func (tour Tour) Run(t *testing.T) {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	_, text, found := strings.Cut(tour.Text, "<!-- tour")
	require.True(t, found, "the text has no tour")
	text, _, found = strings.Cut(text, "<!-- end of the tour -->")
	require.True(t, found, "the tour has no end")
	steps := regexp.MustCompile("(?s)```sh\n(.*?)\n```\n```\\w*\n(.*?)\n```\n").FindAllStringSubmatch(text, -1)
	require.Len(t, steps, strings.Count(text, "```sh\n"), "a step of the tour does not show what it prints")
	require.NotEmpty(t, steps)

	folder := t.TempDir()
	for _, step := range steps {
		var printed []string
		heard := func() {} // what a command in the background prints then
		for command := range strings.Lines(step[1]) {
			command, background := strings.CutSuffix(strings.TrimSpace(command), " &")
			for address, with := range tour.Addresses {
				command = strings.ReplaceAll(command, address, with)
			}
			cmd := exec.CommandContext(t.Context(), bash, "-c", "exec "+command)
			cmd.Dir = folder
			cmd.Env = append(append(os.Environ(), "no_proxy=*"), tour.Env...)
			if background {
				tour.BeforeListening()
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
		require.Regexp(t, ExamplePattern(step[2]), strings.Join(printed, "\n"), step[1])
	}
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

// ExamplePattern matches what an example stands for.
func ExamplePattern(example string) *regexp.Regexp {
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
