// Package browser finds and starts Chromium for tests.
package browser

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// requireVariable lists what must not be missing.
const requireVariable = "MESSAGING_TEST_REQUIRE"

// names are what packages and builds of Chromium call it.
var names = []string{"chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome"}

// Start starts Chromium, with an empty profile, and returns the context of a page
// for [chromedp.Run]. It ends with the test. Where there is no Chromium in PATH the
// test is skipped; if the list MESSAGING_TEST_REQUIRE holds "chromium", it fails.
func Start(tb testing.TB) context.Context {
	tb.Helper()
	path := find()
	if path == "" {
		why := "no Chromium: none of " + strings.Join(names, ", ") + " is in PATH"
		if slices.Contains(strings.Split(strings.ReplaceAll(os.Getenv(requireVariable), " ", ""), ","), "chromium") {
			tb.Fatalf("%s, which %s requires", why, requireVariable)
		}
		tb.Skip(why)
	}
	printed := new(output)
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), // it asks nobody but the page's server
		chromedp.ExecPath(path), chromedp.CombinedOutput(printed), chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("disable-component-update", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // it refuses to be root's otherwise
	}
	// Not the test's context: that ends before the browser has been closed.
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, end := chromedp.NewContext(allocator, chromedp.WithErrorf(tb.Logf))
	tb.Cleanup(func() {
		end() // waits until it has ended
		stop()
		if tb.Failed() {
			tb.Log(printed.String())
		}
	})
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		tb.Fatalf("start %s: %v\n%s", path, err, printed)
	}
	return ctx
}

// find returns the path of Chromium; or nothing, if there is none.
func find() string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Eval evaluates an expression in a page, waits for it if it is a promise, and
// returns its value. The test fails if it throws.
func Eval[T any](tb testing.TB, page context.Context, expression string) T {
	tb.Helper()
	value, err := chromedp.Run(page, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		tb.Fatalf("%s: %v", expression, err)
	}
	return value
}

// Await waits until an expression is true in a page. The test fails if it takes
// long.
func Await(tb testing.TB, page context.Context, expression string) {
	tb.Helper()
	if _, err := chromedp.Run(page, chromedp.Poll[bool](expression)); err != nil {
		tb.Fatalf("%s: %v", expression, err)
	}
}

// output is what the browser prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
