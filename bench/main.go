// Command bench measures the messaging module against the web server that it
// lives in. It starts a real Caddy, and prints ratios: numbers of one run, on
// one machine, over each other.
//
//	go run ./bench [-duration 3s] [-rounds 3] [-run send|page|writer|postgres|growth|search|fanout|idle] [-messages 1000000] [-postgres <address>] [-connections 64] [-profile <file>]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// A scenario measures something against something else. It prints a row a
// ratio.
type scenario struct {
	name string
	run  func(ctx context.Context, b *bench) error
}

var scenarios = []scenario{
	{"send", sends},
	{"page", page},
	{"writer", writer},
	{"postgres", postgres},
	{"growth", growth},
	{"search", search},
	{"fanout", fanOut},
	{"idle", idle},
}

// bench is what the scenarios share.
type bench struct {
	duration time.Duration // of each measurement
	rounds   int
	only     int    // measure with so many connections alone, if not 0
	messages int    // in the large database of growth
	postgres string // the address of a database that may be filled
	profile  string // a file for the CPU profile of what is measured last
}

func main() {
	frontdoor.ActAsCaddy()
	b := &bench{}
	flag.DurationVar(&b.duration, "duration", 3*time.Second, "how long each measurement takes")
	flag.IntVar(&b.rounds, "rounds", 3, "how often each is repeated; the median counts")
	only := flag.String("run", "", "the scenario to run; default: all")
	flag.IntVar(&b.only, "connections", 0, "measure with so many connections alone")
	flag.IntVar(&b.messages, "messages", 1_000_000, "how many there are in the large database of growth")
	flag.StringVar(&b.postgres, "postgres", "", "the address of a PostgreSQL database, which is filled")
	flag.StringVar(&b.profile, "profile", "", "write a CPU profile of the server to this file")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	fmt.Println("| what | against | ratio | what/s | against/s | p50 | p99 |")
	fmt.Println("| --- | --- | --- | --- | --- | --- | --- |")
	found := false
	for _, s := range scenarios {
		if *only != "" && s.name != *only {
			continue
		}
		found = true
		if err := s.run(ctx, b); err != nil {
			fmt.Fprintf(os.Stderr, "bench %s: %v\n", s.name, err)
			os.Exit(1)
		}
	}
	if !found {
		fmt.Fprintf(os.Stderr, "bench: there is no scenario %q\n", *only)
		os.Exit(2)
	}
}

// compare measures two things in turn, b.rounds times, and prints the medians:
// what else the machine does meanwhile befalls both.
func (b *bench) compare(what, against string, measure, baseline func() (result, error)) error {
	var measured, base []result
	for range b.rounds {
		m, err := measure()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		measured = append(measured, m)
		if m, err = baseline(); err != nil {
			return fmt.Errorf("%s: %w", against, err)
		}
		base = append(base, m)
	}
	m, n := median(measured), median(base)
	fmt.Println("|", strings.Join([]string{
		what, against, fmt.Sprintf("%.2f", m.perSecond/n.perSecond),
		fmt.Sprintf("%.0f", m.perSecond), fmt.Sprintf("%.0f", n.perSecond),
		m.p50.Round(time.Microsecond).String(), m.p99.Round(time.Microsecond).String(),
	}, " | "), "|")
	return nil
}

// connections are those to measure with.
func (b *bench) connections() []int {
	if b.only != 0 {
		return []int{b.only}
	}
	return []int{1, 64, 256}
}

func median(of []result) result {
	slices.SortFunc(of, func(a, b result) int { return int(a.perSecond - b.perSecond) })
	return of[len(of)/2]
}
