package caddymsg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/term"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

const passwordHelp = `
The password has at least 8 characters, and at most 72 bytes, and is neither one of
the most common ones nor the username. It is asked for on a terminal; else it is the
first line of the standard input, or of --password-file. No argument takes it: a command line can be read by others.
`

const besideServerHelp = `
The server may go on meanwhile. With SQLite, run the command as the user that Caddy
runs as, on the machine that it runs on.`

func userCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user <command>",
		Short: "Looks after accounts",
		Long:  "Looks after the accounts of a database.",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	create := &cobra.Command{
		Use:   "create --username <name> [--admin] [--database <database>] [--password-file <file>]",
		Short: "Makes an account, of an administrator with --admin",
		Long: `
Makes an account, also where registration is closed. With --admin its owner is an
administrator of the server. This is how the first one comes to be.
` + passwordHelp + besideServerHelp,
		Example: `  $ caddy messaging user create --database /data/messaging.db --username alice --admin`,
		Args:    cobra.NoArgs,
	}
	create.Flags().Bool("admin", false, "Make its owner an administrator")
	runs(create, func(ctx context.Context, flags caddycmd.Flags) error {
		return createUser(ctx, flags, create)
	})

	password := &cobra.Command{
		Use:   "password --username <name> [--database <database>] [--password-file <file>]",
		Short: "Gives an account another password",
		Long: `
Gives an account another password, and ends all its sessions.
` + passwordHelp + besideServerHelp,
		Example: `  $ caddy messaging user password --database /data/messaging.db --username alice`,
		Args:    cobra.NoArgs,
	}
	runs(password, func(ctx context.Context, flags caddycmd.Flags) error {
		return resetPassword(ctx, flags, password)
	})

	list := &cobra.Command{
		Use:     "list [--database <database>]",
		Short:   "Lists the accounts",
		Long:    "Lists the accounts of a database.\n" + besideServerHelp,
		Example: `  $ caddy messaging user list --database /data/messaging.db`,
		Args:    cobra.NoArgs,
	}
	runs(list, func(ctx context.Context, flags caddycmd.Flags) error {
		return listUsers(ctx, flags, list.OutOrStdout())
	})

	for _, sub := range []*cobra.Command{create, password} {
		sub.Flags().String("username", "", "The name of the account")
		sub.Flags().String("password-file", "", "A file whose first line is the password")
		sub.Flags().Int("bcrypt-cost", standardBcryptCost, "What it costs to hash the password: the site's bcrypt_cost")
		_ = sub.MarkFlagRequired("username") // it fails for a flag that there is not
	}
	for _, sub := range []*cobra.Command{create, password, list} {
		sub.Flags().String("database", "", "A path, or postgres://… (a placeholder, {env.NAME}, if it holds a password); what a site has by default, if it is left out")
	}
	cmd.AddCommand(create, password, list)
	return cmd
}

// operator is who runs a command.
func operator() chat.Caller { return chat.Operator("command") }

// accounts are those of a database.
type accounts struct {
	chat *chat.Service
	auth *auth.Service
}

// withAccounts opens the database that is named, calls fn, and closes it.
func withAccounts(ctx context.Context, flags caddycmd.Flags, cost int, fn func(accounts) error) (err error) {
	if cost < bcrypt.MinCost || cost > bcrypt.MaxCost {
		return fmt.Errorf("--bcrypt-cost: %d is not between %d and %d", cost, bcrypt.MinCost, bcrypt.MaxCost)
	}
	name := flags.String("database")
	if name == "" {
		name = filepath.Join(caddy.AppDataDir(), "messaging.db")
	}
	database, err := resolvePlaceholders("--database", name)
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, store.Options{Database: database, Existing: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	log := slog.New(slog.DiscardHandler)
	rules := chat.New(s, log)
	return fn(accounts{rules, auth.New(s, rules, auth.NewHasher(auth.NewHashQueue(), cost),
		auth.Options{PasswordMinLength: standardPasswordMinLength}, log)})
}

func createUser(ctx context.Context, flags caddycmd.Flags, cmd *cobra.Command) error {
	username, admin := flags.String("username"), flags.Bool("admin")
	return withAccounts(ctx, flags, flags.Int("bcrypt-cost"), func(a accounts) error {
		password, err := readPassword(ctx, flags, cmd)
		if err != nil {
			return err
		}
		user, err := a.auth.CreateAccount(ctx, operator(), chat.NewAccount{
			Profile: chat.Profile{Username: &username}, Admin: admin,
		}, password, "")
		if refusal := chat.AsError(err); admin && refusal != nil && refusal.Code == "username_taken" {
			return fmt.Errorf("there is an account %s already; to make its owner an administrator, "+
				"put \"admin %s\" into the messaging block of the Caddyfile, and reload", username, username)
		}
		if err != nil {
			return err
		}
		what := "the account"
		if user.Admin {
			what = "the administrator's account"
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "Made %s %s, with the id %d.\n", what, user.Username, user.ID)
		return err
	})
}

func resetPassword(ctx context.Context, flags caddycmd.Flags, cmd *cobra.Command) error {
	return withAccounts(ctx, flags, flags.Int("bcrypt-cost"), func(a accounts) error {
		name := flags.String("username")
		user, err := a.chat.User(ctx, name)
		if err != nil {
			return err
		}
		if chat.UsernameKey(user.Username) != chat.UsernameKey(name) { // found by the id
			return fmt.Errorf("there is no account %q", name)
		}
		password, err := readPassword(ctx, flags, cmd)
		if err != nil {
			return err
		}
		if user, err = a.auth.UpdateAccount(ctx, operator(), user.ID, chat.AccountChange{}, &password); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s has another password, and is signed out everywhere.\n", user.Username)
		return err
	})
}

func listUsers(ctx context.Context, flags caddycmd.Flags, out io.Writer) error {
	return withAccounts(ctx, flags, standardBcryptCost, func(a accounts) error {
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		lines := []string{"ID\tUSERNAME\tSINCE\t\n"}
		const page = 500
		for users := make([]chat.User, page); len(users) == page; {
			var err error
			users, err = a.chat.Accounts(ctx, operator(), chat.Filter{Limited: true, Limit: page, Offset: len(lines) - 1})
			if err != nil {
				return err
			}
			for _, u := range users {
				var notes []string
				if u.Admin {
					notes = append(notes, "administrator")
				}
				if !u.DeactivatedAt.IsZero() {
					notes = append(notes, "deactivated")
				}
				lines = append(lines, fmt.Sprintf("%d\t%s\t%s\t%s\n",
					u.ID, u.Username, u.CreatedAt.Format(time.DateOnly), strings.Join(notes, ", ")))
			}
		}
		_, err := io.WriteString(table, strings.Join(lines, ""))
		return errors.Join(err, table.Flush())
	})
}

// readPassword asks for a new password, on a terminal twice and without showing it.
func readPassword(ctx context.Context, flags caddycmd.Flags, cmd *cobra.Command) (string, error) {
	if path := flags.String("password-file"); path != "" {
		f, err := os.Open(path) //nolint:gosec // the operator says where it is
		if err != nil {
			return "", fmt.Errorf("--password-file: %w", err)
		}
		defer func() { _ = f.Close() }() // it was only read
		return firstLine(f)
	}
	terminal := int(os.Stdin.Fd())
	if !term.IsTerminal(terminal) {
		return firstLine(cmd.InOrStdin())
	}
	var typed [2]string
	for i, prompt := range []string{"Password: ", "Once more: "} {
		// If nobody can read the question, they can still answer.
		_, _ = fmt.Fprint(cmd.ErrOrStderr(), prompt)
		line, err := readHidden(ctx, terminal)
		_, _ = fmt.Fprintln(cmd.ErrOrStderr())
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		typed[i] = line
	}
	if typed[0] != typed[1] {
		return "", errors.New("the two passwords are not the same")
	}
	return typed[0], nil
}

// readHidden reads a line from a terminal that does not show it. An interrupt ends
// it, and leaves the terminal as it was.
func readHidden(ctx context.Context, terminal int) (string, error) {
	before, err := term.GetState(terminal)
	if err != nil {
		return "", err
	}
	type answer struct {
		line []byte
		err  error
	}
	answered := make(chan answer, 1)
	go func() { // after an interrupt, it ends with the process
		line, err := term.ReadPassword(terminal)
		answered <- answer{line, err}
	}()
	select {
	case a := <-answered:
		return string(a.line), a.err
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), term.Restore(terminal, before))
	}
}

// maxPasswordLine bounds what is read in search of a password's end. What is longer
// is too long for one, and is refused as that.
const maxPasswordLine = 4096

func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxPasswordLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
}
