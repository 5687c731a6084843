package metrics

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"postroom/server/internal/store"
)

// Sources are asked at each scrape; each must be there.
type Sources struct {
	// Queue reads what waits from the database.
	Queue func(context.Context) (store.Queue, error)
	// Working is whether this node sends, and Problem whether it needs a person.
	Working func() (working, problem bool)
	// Relay is whether Mattermost's settings name the relay, and whether every node's relay takes mail.
	Relay func(context.Context) (enabled, healthy bool)
	// Connections is how many Mattermost has to the relay now.
	Connections func() int
	// Instances is how many of the core are alive.
	Instances func() int
}

// scrapeWithin bounds what a scrape waits for the database: Prometheus gives up after 10 s.
const scrapeWithin = 3 * time.Second

type scrape struct {
	sources Sources

	queue, requests, oldest, database, working, problem, enabled, healthy, connections, instances *prometheus.Desc
}

func newScrape(sources Sources) *scrape {
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	}
	return &scrape{
		sources:     sources,
		queue:       describe("queue_mails", "Mails that have not reached their end, on all nodes, by class, kind and state.", "class", "kind", "state"),
		requests:    describe("queue_requests", "Requests for a link that were accepted and not worked on yet, on all nodes."),
		oldest:      describe("oldest_account_mail_seconds", "How long the oldest account mail, or request for one, has waited, on all nodes; 0 when none waits."),
		database:    describe("database_up", "1 if the database answered this scrape."),
		working:     describe("outbox_working", "1 if this node sends mail; 0 while it starts, holds (another SiteURL) or is broken."),
		problem:     describe("outbox_needs_admin", "1 if nothing is sent until a person decides or mends something: see the plugin's status."),
		enabled:     describe("relay_enabled", "1 if Mattermost's SMTP settings name this node's relay."),
		healthy:     describe("relay_healthy", "1 if the relay of every node takes mail."),
		connections: describe("relay_connections", "Connections that Mattermost has to this node's relay."),
		instances:   describe("core_instances", "Instances of the core alive in this service."),
	}
}

// Describe is prometheus.Collector's.
func (s *scrape) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(s, to) }

// Collect is prometheus.Collector's. What the database can't be asked for is left out: 0 would be a lie.
func (s *scrape) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeWithin)
	defer cancel()
	gauge := func(of *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(of, prometheus.GaugeValue, value, labels...)
	}
	queue, err := s.sources.Queue(ctx)
	gauge(s.database, bit(err == nil))
	if err == nil {
		for _, waiting := range queue.Mails {
			gauge(s.queue, float64(waiting.Mails), waiting.Class, waiting.Kind, waiting.State)
		}
		gauge(s.requests, float64(queue.Requests))
		gauge(s.oldest, queue.OldestAccount.Seconds())
	}
	working, problem := s.sources.Working()
	gauge(s.working, bit(working))
	gauge(s.problem, bit(problem))
	enabled, healthy := s.sources.Relay(ctx)
	gauge(s.enabled, bit(enabled))
	gauge(s.healthy, bit(healthy))
	gauge(s.connections, float64(s.sources.Connections()))
	gauge(s.instances, float64(s.sources.Instances()))
}

func bit(set bool) float64 {
	if set {
		return 1
	}
	return 0
}
