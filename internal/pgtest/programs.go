package pgtest

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// installed is where packages and builds of PostgreSQL put its programs.
var installed = []string{
	"/usr/lib/postgresql/*/bin", // Debian
	"/usr/pgsql-*/bin",          // Red Hat
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
	"/usr/local/pgsql/bin", // its own make install
}

// programs is the folder of the installed PostgreSQL's programs. It does not
// change under the tests, and each of them asks.
var programs = sync.OnceValues(func() (string, error) { return findPrograms(installed...) })

// findPrograms returns the folder of PostgreSQL's programs: what PATH leads to,
// or else the highest version of the first pattern that has one.
func findPrograms(patterns ...string) (string, error) {
	var folders []string
	if out, err := exec.CommandContext(context.Background(), "pg_config", "--bindir").Output(); err == nil {
		folders = append(folders, strings.TrimSpace(string(out)))
	}
	if initdb, err := exec.LookPath("initdb"); err == nil {
		// The link may be all that there is in its folder.
		if initdb, err = filepath.EvalSymlinks(initdb); err == nil {
			folders = append(folders, filepath.Dir(initdb))
		}
	}
	for _, pattern := range patterns {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		slices.SortFunc(matches, func(a, b string) int { return version(b) - version(a) })
		folders = append(folders, matches...)
	}
	for _, folder := range folders {
		if complete(folder) {
			return folder, nil
		}
	}
	return "", errors.New("its server is not installed (initdb, pg_ctl and postgres are neither in PATH nor in " +
		strings.Join(patterns, ", ") + ")")
}

// complete tells whether a folder has all that a server needs: pg_config comes
// with the client's library, too.
func complete(folder string) bool {
	for _, program := range []string{"initdb", "pg_ctl", "postgres"} {
		if _, err := exec.LookPath(filepath.Join(folder, program)); err != nil {
			return false
		}
	}
	return true
}

var number = regexp.MustCompile(`\d+`)

// version is the major version in the path of a folder of programs.
func version(folder string) int {
	v, _ := strconv.Atoi(number.FindString(filepath.Base(filepath.Dir(folder)))) // without a number, 0
	return v
}
