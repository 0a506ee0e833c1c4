package caddymsg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddymsg/messaging/store"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "messaging",
		Usage: "<command>",
		Short: "Looks after the databases of the messaging module",
		Long:  "Looks after the databases of the messaging module.",
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Args = cobra.NoArgs // else a command that there is not would pass for one
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			cmd.AddCommand(copyCommand(), userCommand())
		},
	})
}

func copyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "copy --from <database> --to <database>",
		Short: "Copies all data into an empty database, of either engine",
		Long: `
Copies accounts, sessions, chats, messages and events from one database into
another: from SQLite to PostgreSQL, or back, or to another of the same engine.

A database is what the option "database" of a messaging block says: the path of
an SQLite file, or the address of a PostgreSQL database, postgres://…. Write an
address with a password as a placeholder, {env.NAME} or {file./path}: a command
line can be read by others.

The destination must be empty. An SQLite file is made if it is missing; a
PostgreSQL database is made by you.

Stop the servers that use the two databases first. What is written to the source
while the copy runs is not in it.

When all is there, the copy is read back and compared with the source. If
anything fails, or the command is interrupted, nothing is stored, and it may be
run again. The source keeps what it has. Clients stay signed in if the servers
keep their session secret.`,
		Example: `  $ caddy stop
  $ caddy messaging copy --from /data/messaging.db --to '{env.DATABASE_URL}'`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().String("from", "", "The database to copy: a path, or postgres://…")
	cmd.Flags().String("to", "", "The empty database to copy it into: a path, or postgres://…")
	// They fail for flags that there are not.
	_ = cmd.MarkFlagRequired("from")
	_ = cmd.MarkFlagRequired("to")
	runs(cmd, func(ctx context.Context, flags caddycmd.Flags) error {
		return copyDatabase(ctx, flags.String("from"), flags.String("to"), cmd.OutOrStdout(), cmd.ErrOrStderr())
	})
	return cmd
}

// runs has a command call fn, with a context that ends with an interrupt.
func runs(cmd *cobra.Command, fn func(ctx context.Context, flags caddycmd.Flags) error) {
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return caddycmd.WrapCommandFuncForCobra(func(flags caddycmd.Flags) (int, error) {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			context.AfterFunc(ctx, stop) // a second signal ends the process at once
			if err := fn(ctx, flags); err != nil {
				return caddy.ExitCodeFailedStartup, err
			}
			return caddy.ExitCodeSuccess, nil
		})(cmd, nil)
	}
}

// copyDatabase copies a database, shows how far it is, and writes what it came
// to.
func copyDatabase(ctx context.Context, from, to string, out, progress io.Writer) error {
	from, err := resolvePlaceholders("--from", from)
	if err != nil {
		return err
	}
	to, err = resolvePlaceholders("--to", to)
	if err != nil {
		return err
	}
	p := copyPrinter{out: progress}
	tables, err := store.Copy(ctx, from, to, p.print)
	if err != nil {
		return err
	}
	var rows strings.Builder
	for _, t := range tables {
		fmt.Fprintf(&rows, "%s\t%d\t%x\n", t.Name, t.Rows, t.SHA256)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, err = fmt.Fprintf(table, "TABLE\tROWS\tSHA-256\n%sBoth databases hold the same.\n", rows.String())
	return errors.Join(err, table.Flush())
}

// copyPrinter writes a line at the end of each table, and about once a second.
type copyPrinter struct {
	out  io.Writer
	last time.Time
}

func (p *copyPrinter) print(progress store.CopyProgress) {
	if progress.Rows < progress.Of && time.Since(p.last) < time.Second {
		return
	}
	p.last = time.Now()
	doing := "copy"
	if progress.Checking {
		doing = "check"
	}
	// If nobody can read it the copy goes on.
	_, _ = fmt.Fprintf(p.out, "%s %s: %d of %d\n", doing, progress.Table, progress.Rows, progress.Of)
}
