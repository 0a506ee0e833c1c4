package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

func (p *postgres) listen(ctx context.Context, channel string, receive func(string)) error {
	if err := p.enter(); err != nil {
		return err
	}
	defer p.leave()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-p.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	conn, err := p.listener(ctx, channel)
	if err != nil {
		return fmt.Errorf("listen: %w", classifyPostgres(err))
	}
	defer func() { _ = hangUp(ctx, conn) }() // whatever it was lost of has been told
	receive("")
	for {
		heard, err := conn.WaitForNotification(ctx)
		if err != nil {
			return fmt.Errorf("listen: %w", classifyPostgres(err))
		}
		receive(heard.Payload)
	}
}

// listenerSettings are of a connection that says nothing for as long as there is
// nothing to hear.
const listenerSettings = `
	SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
	SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout';`

// listener makes a connection that listens.
func (p *postgres) listener(ctx context.Context, channel string) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	config := p.config.Load().Copy()
	// It waits for ever, and there is no statement that could be broken off: when
	// the context ends, so does the connection.
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.DeadlineContextWatcherHandler{Conn: conn.Conn()}
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if _, err := conn.PgConn().Exec(ctx, listenerSettings+"LISTEN "+pgx.Identifier{channel}.Sanitize()).ReadAll(); err != nil {
		_ = hangUp(ctx, conn)
		return nil, err
	}
	return conn, nil
}

// hangUp closes a connection, whether it leads anywhere or not.
func hangUp(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return conn.Close(ctx)
}

func (p *postgres) notify(ctx context.Context, channel, payload string) error {
	if err := p.enter(); err != nil {
		return err
	}
	defer p.leave()
	run, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// Connections that were lost while nobody used them are passed over. Twice the
	// same notification is as good as one.
	for passed := 0; ; passed++ {
		_, err := p.writing.ExecContext(run, `SELECT pg_notify($1, $2)`, channel, payload)
		unreachable := isRefused(err)
		err = classifyPostgres(err)
		if !errors.Is(err, ErrUnavailable) || unreachable || run.Err() != nil || passed == p.writing.Stats().MaxOpenConnections {
			return inTime(ctx, run, err)
		}
	}
}
