package pgtest

import (
	"os"
	"syscall"
)

// parent is where servers have their folders; "" is the usual place. In memory
// a database is made several times as fast as on a disk: it has 300 files.
// Containers often have but a little of it.
func parent() string {
	const memory, enough = "/dev/shm", 2 << 30
	var fs syscall.Statfs_t
	if os.Getenv("TMPDIR") != "" || syscall.Statfs(memory, &fs) != nil || float64(fs.Bavail)*float64(fs.Bsize) < enough {
		return ""
	}
	return memory
}
