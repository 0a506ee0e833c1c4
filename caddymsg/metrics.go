package caddymsg

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/limit"
	"github.com/caddymsg/messaging/store"
)

// metrics are of one backend. Each configuration has a registry of its own;
// the numbers belong to the backend, and go on through a reload. No label
// holds a user, a chat or a path that a client chose.
type metrics struct {
	requests      *prometheus.CounterVec
	open          prometheus.Gauge
	messages      prometheus.Counter
	commitUpdates prometheus.Histogram
	commitSeconds prometheus.Histogram
	live          *prometheus.GaugeVec
	closings      *prometheus.CounterVec
	delivered     prometheus.Counter
	limited       *prometheus.CounterVec
	mails         *prometheus.CounterVec
	all           []prometheus.Collector
}

func newMetrics(b *backend) *metrics {
	database := prometheus.Labels{"database": b.identity}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "messaging_requests_total", ConstLabels: database,
			Help: "Requests that the API has answered, by route and status.",
		}, []string{"route", "code"}),
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "messaging_open_connections", ConstLabels: database,
			Help: "Requests that are being answered; over HTTP/1, each has a connection of its own.",
		}),
		messages: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "messaging_messages_sent_total", ConstLabels: database,
			Help: "Messages that this server has stored.",
		}),
		commitUpdates: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "messaging_commit_updates", ConstLabels: database,
			Help:    "Updates that one commit has stored.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 9),
		}),
		commitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "messaging_commit_seconds", ConstLabels: database,
			Help:    "How long a commit took, from its first statement to the disk.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}),
		live: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "messaging_live_connections", ConstLabels: database,
			Help: "Connections that events are told over, by transport.",
		}, []string{"transport"}),
		closings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "messaging_live_closed_total", ConstLabels: database,
			Help: "Connections that this server has ended, by reason.",
		}, []string{"reason"}),
		delivered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "messaging_events_delivered_total", ConstLabels: database,
			Help: "Events that were handed to connections as they happened, once for each connection.",
		}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "messaging_rate_limited_total", ConstLabels: database,
			Help: "What was refused because it was done too often, by limit.",
		}, []string{"limit"}),
		mails: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "messaging_mails_total", ConstLabels: database,
			Help: "Attempts of this server to send a mail, by what has become of it.",
		}, []string{"result"}),
	}
	for _, name := range limit.Names() {
		m.limited.WithLabelValues(string(name)) // so that there is a 0
	}
	for _, result := range auth.MailResults() {
		m.mails.WithLabelValues(result) // so that there is a 0
	}
	gauge := func(name, help string, value func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: database},
			func() float64 { return float64(value()) })
	}
	m.all = []prometheus.Collector{
		m.requests, m.open, m.messages, m.commitUpdates, m.commitSeconds,
		m.live, m.closings, m.delivered, m.limited, m.mails,
		gauge("messaging_events_behind", "How far the log is ahead of what was handed to connections, in events.", func() int { return int(b.hub.Lag()) }),
		gauge("messaging_hashes_waiting", "Passwords that wait to be hashed.", b.hashing.Waiting),
		gauge("messaging_mails_waiting", "Mails that wait to be sent, by any server; 0 where smtp is not configured.", b.mailsWaiting),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "messaging_password_hashes_total", ConstLabels: database,
			Help: "Passwords that were hashed, to keep or to compare.",
		}, func() float64 { return float64(b.hashing.Hashed()) }),
		gauge("messaging_updates_waiting", "Updates that wait for their commit.", func() int { return b.stats().Waiting }),
		gauge("messaging_database_connections", "Connections to the database.", func() int { return b.stats().Connections }),
	}
	if (store.Options{Database: b.identity}).Shared() {
		m.all = append(m.all, gauge("messaging_bus_healthy", "Whether this server hears of other nodes at once: 1, or 0.", b.busHealthy))
	}
	return m
}

// register adds the metrics to a configuration's registry, where another
// handler of it may have added them already.
func (m *metrics) register(registry *prometheus.Registry) error {
	for _, collector := range m.all {
		var already prometheus.AlreadyRegisteredError
		if err := registry.Register(collector); err != nil && !errors.As(err, &already) {
			return err
		}
	}
	return nil
}

func (m *metrics) countEvents(events []store.Event) {
	for _, e := range events {
		if e.Type == store.MessageCreated {
			m.messages.Inc()
		}
	}
}

func (m *metrics) observeBatch(updates int, took time.Duration) {
	m.commitUpdates.Observe(float64(updates))
	m.commitSeconds.Observe(took.Seconds())
}

// statusLabel is a response's status, or a word for a request that was broken
// off before it had one.
func statusLabel(status int) string {
	if status == 0 {
		return "aborted"
	}
	return strconv.Itoa(status)
}

// routeLabel is a route's pattern, or one word for all paths that are none.
func routeLabel(pattern string) string {
	if pattern == "" {
		return "none"
	}
	return pattern
}
