package store_test

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

// What can't be written to is refused at the start, and not with the first
// message.
func TestSQLiteReadOnly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, folder os.FileMode
	}{
		"file":            {0o400, 0o700},
		"folder":          {0o600, 0o500},
		"file and folder": {0o400, 0o500},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, "messaging.db")
			s := openSQLite(t, store.Options{Database: path})
			newUser(t, s, "ada")
			require.NoError(t, s.Close())
			require.NoError(t, os.Chmod(path, c.file))
			require.NoError(t, os.Chmod(folder, c.folder))
			t.Cleanup(func() { _ = os.Chmod(folder, 0o700) })
			beNobody(t, path, folder, filepath.Dir(folder))
			require.Contains(t, refuseToOpen(t, path), "writable")
		})
	}
	t.Run("folder of a new file", func(t *testing.T) {
		folder := t.TempDir()
		require.NoError(t, os.Chmod(folder, 0o500))
		t.Cleanup(func() { _ = os.Chmod(folder, 0o700) })
		beNobody(t, folder, filepath.Dir(folder))
		refuseToOpen(t, filepath.Join(folder, "messaging.db"))
		refuseToOpen(t, filepath.Join(folder, "deeper", "messaging.db"))
	})
}

// beNobody gives up root's right to write everything, if there is such a right,
// for files and as long as the test runs: it opens them on its own thread.
func beNobody(t *testing.T, files ...string) {
	if os.Geteuid() != 0 {
		return
	}
	const nobody = 65534
	for _, file := range files {
		require.NoError(t, os.Chown(file, nobody, nobody))
	}
	runtime.LockOSThread()
	require.NoError(t, syscall.Setfsuid(nobody))
	t.Cleanup(func() {
		require.NoError(t, syscall.Setfsuid(0))
		runtime.UnlockOSThread()
	})
}
