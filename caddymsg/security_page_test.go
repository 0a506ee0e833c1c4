package caddymsg_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/limit"
)

// asvs are the requirements of the levels 1 and 2 in three chapters of OWASP's ASVS
// 5.0.0, in its order.
const asvs = `
	6.1.1 6.1.2 6.1.3
	6.2.1 6.2.2 6.2.3 6.2.4 6.2.5 6.2.6 6.2.7 6.2.8 6.2.9 6.2.10 6.2.11 6.2.12
	6.3.1 6.3.2 6.3.3 6.3.4
	6.4.1 6.4.2 6.4.3 6.4.4
	6.5.1 6.5.2 6.5.3 6.5.4 6.5.5
	6.6.1 6.6.2 6.6.3
	6.8.1 6.8.2 6.8.3 6.8.4
	7.1.1 7.1.2 7.1.3
	7.2.1 7.2.2 7.2.3 7.2.4
	7.3.1 7.3.2
	7.4.1 7.4.2 7.4.3 7.4.4 7.4.5
	7.5.1 7.5.2
	7.6.1 7.6.2
	8.1.1 8.1.2
	8.2.1 8.2.2 8.2.3
	8.3.1
	8.4.1`

func securityPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "docs", "security.md"))
	require.NoError(t, err)
	return string(page)
}

// TestSecurityPageNamesTests fails if the page names a test that there is not.
func TestSecurityPageNamesTests(t *testing.T) {
	t.Parallel()
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z]\w*)\(\w+ \*testing\.[TF]\)`)
	there := map[string]bool{}
	require.NoError(t, filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		code, err := os.ReadFile(path)
		for _, found := range declaration.FindAllStringSubmatch(string(code), -1) {
			there[found[1]] = true
		}
		return err
	}))
	require.True(t, there[t.Name()], "this search finds what is there")
	page := securityPage(t)
	named := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w*`).FindAllString(page, -1)
	require.NotEmpty(t, named)
	for _, name := range named {
		require.True(t, there[name], "docs/security.md names %s, which is no test", name)
	}
	for name := range there {
		if strings.HasPrefix(name, "TestAttack") {
			require.Contains(t, named, name, "an attack that the page does not list")
		}
	}
}

// TestSecurityPageHasASVS holds the page to a row for each requirement, and each row
// that says "met" to a test, or to a place on the page.
func TestSecurityPageHasASVS(t *testing.T) {
	t.Parallel()
	rows := regexp.MustCompile(`(?m)^\| (\d+\.\d+\.\d+) \| (.+) \| (.+) \| (.+) \|$`).FindAllStringSubmatch(securityPage(t), -1)
	var numbers []string
	for _, row := range rows {
		number, verdict, shown := row[1], row[3], row[4]
		if strings.HasSuffix(verdict, "(level 3)") {
			continue // more than was asked
		}
		numbers = append(numbers, number)
		require.Contains(t, []string{"met", "not met", "in part", "not applicable"}, verdict, number)
		if verdict == "met" {
			require.Regexp(t, "`(Test|Fuzz)[A-Z]|\\]\\(#|\\]\\([a-z]+\\.md", shown, "%s: what shows it?", number)
		}
	}
	require.Equal(t, strings.Fields(asvs), numbers)
}

// TestSecurityPageHasLimits holds the page to the limits that there are.
func TestSecurityPageHasLimits(t *testing.T) {
	t.Parallel()
	rows := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| `([^`]+)` \\|").FindAllStringSubmatch(securityPage(t), -1)
	var names []limit.Name
	for _, row := range rows {
		rate, err := limit.Parse(row[2])
		require.NoError(t, err, row[1])
		names = append(names, limit.Name(row[1]))
		require.Equal(t, fmt.Sprint(limit.Standard(limit.Name(row[1]))), fmt.Sprint(rate), row[1])
	}
	slices.Sort(names)
	require.Equal(t, limit.Names(), names)
}

// TestSecurityPageHasAnchors fails if the page refers to a section of its own, or to a
// page, that there is not.
func TestSecurityPageHasAnchors(t *testing.T) {
	t.Parallel()
	page := securityPage(t)
	anchors := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^##+ (.+)$`).FindAllStringSubmatch(page, -1) {
		anchor := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		anchors["#"+strings.ReplaceAll(anchor, " ", "-")] = true
	}
	for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(page, -1) {
		to := link[1]
		switch {
		case strings.HasPrefix(to, "https://"):
		case strings.HasPrefix(to, "#"):
			require.True(t, anchors[to], "there is no section %s", to)
		default:
			path, _, _ := strings.Cut(to, "#")
			_, err := os.Stat(filepath.Join("..", "docs", path))
			require.NoError(t, err)
		}
	}
}
