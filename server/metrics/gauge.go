package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Gauge is a number that goes up and down, read at a scrape.
type Gauge struct {
	desc   *prometheus.Desc
	labels int
	kind   prometheus.ValueType
}

// all are the gauges, in the order in which they were declared.
var all []*Gauge

func gauge(name, help string, labels ...string) *Gauge {
	g := &Gauge{prometheus.NewDesc(name, help, labels, nil), len(labels), prometheus.GaugeValue}
	all = append(all, g)
	return g
}

// counter is a number that some room counts by itself: it only grows.
func counter(name, help string) *Gauge {
	g := gauge(name, help)
	g.kind = prometheus.CounterValue
	return g
}

// The gauges. A moment that never was, and a number that nobody can tell, are left out.
var (
	Ready             = gauge("postern_ready", "1 while the server takes mail, else 0.")
	Sessions          = gauge("postern_sessions", "Sessions of agents that are logged in, by door.", "door")
	Connections       = gauge("postern_connections", "Open connections, by door.", "door")
	QueueRecipients   = gauge("postern_queue_recipients", "Recipients in the queue, by state.", "state")
	QueueOldest       = gauge("postern_queue_oldest_timestamp_seconds", "When the oldest recipient of each state came into the queue.", "state")
	QuarantineWaiting = gauge("postern_quarantine_messages", "Messages in quarantine that wait for people.")
	ApprovalsWaiting  = gauge("postern_approvals_waiting", "Submitted messages that wait for people.")
	AlertsOpen        = gauge("postern_alerts_open", "Alerts that nobody has acknowledged.")
	AuditEvents       = gauge("postern_audit_log_events", "Events in the audit log.")
	AuditUnsigned     = gauge("postern_audit_unsigned_events", "Events that no checkpoint covers yet.")
	CheckpointTime    = gauge("postern_audit_checkpoint_timestamp_seconds", "When the newest checkpoint was signed.")
	WitnessKept       = gauge("postern_audit_witness_up", "1 when the newest checkpoint was written to the witness, else 0.")
	StoreWritable     = gauge("postern_storage_up", "1 while the database takes writes, else 0.")
	StorageBytes      = gauge("postern_storage_bytes", "Bytes on disk, by part of the store.", "part")
	DiskFree          = gauge("postern_disk_free_bytes", "Bytes that are free on the file system of the data.")
	DiskSize          = gauge("postern_disk_size_bytes", "Size of the file system of the data.")
	CertificateEnd    = gauge("postern_certificate_expiry_timestamp_seconds", "When the first certificate of each kind ends.", "kind")
	BackupTime        = gauge("postern_backup_last_timestamp_seconds", "When the newest backup was made.")
	ScorerTurned      = counter("postern_scorer_turned_away_total", "Messages that found no place at the scorer in time.")
)

// Reading takes the values of one scrape.
type Reading struct{ ch chan<- prometheus.Metric }

// Set says what a gauge is now. It takes as many labels as the gauge has.
func (r *Reading) Set(g *Gauge, value float64, labels ...string) {
	clean := make([]string, g.labels)
	for i := range clean {
		clean[i] = other
		if i < len(labels) {
			clean[i] = Word(labels[i])
		}
	}
	if m, err := prometheus.NewConstMetric(g.desc, g.kind, value, clean...); err == nil {
		r.ch <- m
	}
}

// Time says when something was; a zero time says nothing.
func (r *Reading) Time(g *Gauge, t time.Time, labels ...string) {
	if !t.IsZero() {
		r.Set(g, float64(t.UnixMilli())/1000, labels...)
	}
}

// Is says whether something is so.
func (r *Reading) Is(g *Gauge, yes bool) {
	value := 0.0
	if yes {
		value = 1
	}
	r.Set(g, value)
}

// gauges reads them for the registry, one scrape after the other.
type gauges struct {
	mu   sync.Mutex
	read func(ctx context.Context, r *Reading)
}

// Describe names every gauge: an interface of the library.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, one := range all {
		ch <- one.desc
	}
}

// Collect reads every gauge: an interface of the library.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.read == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	g.read(ctx, &Reading{ch})
}
