// Package metrics is what Postroom tells Prometheus: the one home of each metric's name, help and labels. No label holds
// an address, an account or anything else of one mail; each has a closed set of values.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"postroom/server/internal/store"
)

const namespace = "postroom"

// Metrics counts what this service does. A nil *Metrics counts nothing, so that a part can be made without one. It is
// safe for concurrent use.
type Metrics struct {
	registry  *prometheus.Registry
	attempts  *prometheus.CounterVec
	delivery  *prometheus.HistogramVec
	coreCalls *prometheus.CounterVec
	coreTime  *prometheus.HistogramVec
	relayed   *prometheus.CounterVec
	upstream  *prometheus.CounterVec
}

// Build says what runs.
type Build struct {
	Version string // the plugin's
	Core    string // the core's own
	// Restarts is how often the shim has started a service again since the plugin was enabled.
	Restarts int
}

// outcomes of an attempt: the mail's state after it.
var outcomes = []string{store.StateSent, store.StateDeferred, store.StateFailed, store.StatePerhapsDelivered, store.StateHeld}

// What became of a mail that Mattermost handed to the relay.
const (
	Taken    = "taken"
	PassedOn = "passed_on" // of those taken, as it came, because it could not be read
	NotNow   = "not_now"   // 452
	Refused  = "refused"   // 5xx: too large, or broken lines
	Broken   = "broken"    // its connection ended before all of it had come
)

// How a mail came by its connection.
const (
	opened = "opened"
	reused = "reused"
)

// New makes the metrics of a service that has just started.
func New(build Build) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "attempts_total",
			Help: "Attempts at sending a mail, by its class and its state afterwards.",
		}, []string{"class", "outcome"}),
		delivery: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "delivery_seconds",
			Help:    "Time from a mail's coming in until the upstream server accepted it, by class.",
			Buckets: []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 6 * 3600, 24 * 3600},
		}, []string{"class"}),
		coreCalls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "core_calls_total",
			Help: "Calls of the core, by operation and result: ok, refused (its own error), trapped, late (stopped by its deadline).",
		}, []string{"op", "result"}),
		coreTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "core_call_seconds",
			Help:    "Time that calls of the core took, waiting for an instance included, by operation.",
			Buckets: []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 5, 20},
		}, []string{"op"}),
		relayed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "relay_mails_total",
			Help: "Mails that Mattermost handed to the relay, by result: taken, passed_on (of those taken, as they came), not_now (452), refused (5xx), broken.",
		}, []string{"result"}),
		upstream: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "upstream_connections_total",
			Help: "Connections that mails got to the upstream server: opened, or reused from an earlier mail. Tests are not counted.",
		}, []string{"how"}),
	}
	// A series that is not there can't be told from one at 0, and rate() misses its first step.
	for _, class := range store.Classes {
		for _, outcome := range outcomes {
			m.attempts.WithLabelValues(class, outcome)
		}
		m.delivery.WithLabelValues(class)
	}
	for _, result := range []string{Taken, PassedOn, NotNow, Refused, Broken} {
		m.relayed.WithLabelValues(result)
	}
	for _, how := range []string{opened, reused} {
		m.upstream.WithLabelValues(how)
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "1, labelled with what runs.",
		ConstLabels: prometheus.Labels{"version": build.Version, "core": build.Core},
	})
	info.Set(1)
	restarts := prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: namespace, Name: "service_restarts_total",
		Help: "How often the service was started again after it had died, since the plugin was enabled.",
	})
	restarts.Add(float64(build.Restarts))
	m.registry.MustRegister(m.attempts, m.delivery, m.coreCalls, m.coreTime, m.relayed, m.upstream, info, restarts,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{Namespace: namespace}))
	return m
}

// Watch adds what is asked for at each scrape.
func (m *Metrics) Watch(sources Sources) { m.registry.MustRegister(newScrape(sources)) }

// Handler serves them in Prometheus' text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// Attempt counts an attempt at a mail that came in `waited` ago.
func (m *Metrics) Attempt(class, outcome string, waited time.Duration) {
	if m == nil {
		return
	}
	m.attempts.WithLabelValues(class, outcome).Inc()
	if outcome == store.StateSent {
		m.delivery.WithLabelValues(class).Observe(max(waited, 0).Seconds())
	}
}

// Connection counts a connection that a mail got.
func (m *Metrics) Connection(kept bool) {
	switch {
	case m == nil:
	case kept:
		m.upstream.WithLabelValues(reused).Inc()
	default:
		m.upstream.WithLabelValues(opened).Inc()
	}
}

// CoreCall counts a call of the core; result is as package engine tells it.
func (m *Metrics) CoreCall(op, result string, took time.Duration) {
	if m == nil {
		return
	}
	m.coreCalls.WithLabelValues(op, result).Inc()
	m.coreTime.WithLabelValues(op).Observe(took.Seconds())
}

// Relayed counts a mail that Mattermost handed over.
func (m *Metrics) Relayed(result string) {
	if m == nil {
		return
	}
	m.relayed.WithLabelValues(result).Inc()
}
