package metrics

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Set is all that one server counts.
type Set struct {
	registry *prometheus.Registry

	Received   *Counters // verdict, result: copies of messages that came from outside or from an agent here
	Submitted  *Counters // result: messages that agents handed in
	Refused    *Counters // rule: messages that policy refused to an agent, or to a stranger after their data
	Strangers  *Counters // command, rule: peers who never logged in and were turned away
	Held       *Counters // rule: messages that a rule made wait for people
	Decided    *Counters // decision: of these
	Kept       *Counters // decision: about messages in quarantine
	Deliveries *Counters // result: attempts to hand a recipient's message on
	Logins     *Counters // who, result
	Alerts     *Counters // kind
	Events     *Counters // outcome: of the audit log

	scored    prometheus.Histogram
	answered  *prometheus.HistogramVec
	commits   prometheus.Histogram
	batchSize prometheus.Histogram

	gauges gauges
}

// Buckets of how long something takes, in seconds.
var (
	quick  = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}
	answer = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	batch  = []float64{1, 2, 4, 8, 16, 32, 64, 128}
)

// New makes a set of a server of this version.
func New(version string) *Set {
	s := &Set{registry: prometheus.NewRegistry()}
	s.Received = s.counters("postern_messages_received_total", "Copies of messages for an inbox, by verdict of the scorer and what became of them.", "verdict", "result")
	s.Submitted = s.counters("postern_messages_submitted_total", "Messages that agents handed in, by result.", "result")
	s.Refused = s.counters("postern_policy_refusals_total", "Messages that a rule refused, by rule.", "rule")
	s.Strangers = s.counters("postern_strangers_refused_total", "Refusals of peers who did not log in, by command and rule; told every ten seconds.", "command", "rule")
	s.Held = s.counters("postern_holds_total", "Submitted messages that a rule made wait for people, by rule.", "rule")
	s.Decided = s.counters("postern_approvals_decided_total", "Messages that waited for people and do no more, by decision.", "decision")
	s.Kept = s.counters("postern_quarantine_decided_total", "Messages that left quarantine, by decision.", "decision")
	s.Deliveries = s.counters("postern_deliveries_total", "Attempts to hand on the message of one recipient, by result.", "result")
	s.Logins = s.counters("postern_logins_total", "Logins with a credential that is known, by who and result.", "who", "result")
	s.Alerts = s.counters("postern_alerts_raised_total", "Alerts that were raised, by kind.", "kind")
	s.Events = s.counters("postern_audit_events_recorded_total", "Events that this process recorded in the audit log, by outcome.", "outcome")
	s.scored = s.histogram("postern_scorer_duration_seconds", "Time that the injection scorer took for one message, waiting for its turn included.", quick)
	s.answered = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "postern_receive_duration_seconds",
		Help: "Time from the end of a message's data to its durable acknowledgement, by door.", Buckets: answer}, []string{"door"})
	s.commits = s.histogram("postern_commit_duration_seconds", "Time of one commit of the database, with the transactions in it.", quick)
	s.batchSize = s.histogram("postern_commit_transactions", "Transactions that shared one commit.", batch)
	s.begin()
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "postern_build_info", Help: "1, labelled with the version of this program."}, []string{"version"})
	info.WithLabelValues(version).Set(1)
	s.registry.MustRegister(info, s.answered, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &s.gauges)
	return s
}

// begin tells zero of what every server will have.
func (s *Set) begin() {
	for _, verdict := range []string{"clean", "suspicious"} {
		s.Received.Begin(verdict, "delivered")
	}
	s.Received.Begin("quarantine", "quarantined")
	for _, result := range []string{"accepted", "held", "refused"} {
		s.Submitted.Begin(result)
	}
	for _, result := range []string{"delivered", "deferred", "failed", "expired", "bounced"} {
		s.Deliveries.Begin(result)
	}
	for _, who := range []string{"agent", "person"} {
		s.Logins.Begin(who, "ok")
		s.Logins.Begin(who, "refused")
	}
	for _, decision := range []string{"released", "rejected", "expired"} {
		s.Decided.Begin(decision)
	}
}

func (s *Set) counters(name, help string, labels ...string) *Counters {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	s.registry.MustRegister(vec)
	return &Counters{labels: len(labels), vec: vec, known: map[string]prometheus.Counter{}}
}

func (s *Set) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	s.registry.MustRegister(h)
	return h
}

// Scored notes how long the scorer took for one message.
func (s *Set) Scored(took time.Duration) { s.scored.Observe(took.Seconds()) }

// Answered notes how long a client waited at a door from the end of a message's data
// until it was told that the message is safe.
func (s *Set) Answered(door string, took time.Duration) {
	s.answered.WithLabelValues(Word(door)).Observe(took.Seconds())
}

// Committed notes how long a commit took, and how many transactions shared it.
func (s *Set) Committed(transactions int, took time.Duration) {
	s.commits.Observe(took.Seconds())
	s.batchSize.Observe(float64(transactions))
}

// Bounds of scrapes.
const (
	scrapeTime = 10 * time.Second
	maxScrapes = 3 // at a time
)

// Handler answers scrapes, in the text exposition format of Prometheus.
func (s *Set) Handler() http.Handler {
	return promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes, Timeout: scrapeTime, DisableCompression: true, ErrorHandling: promhttp.ContinueOnError,
	})
}

// Read says how the gauges get their values: fn is called at each scrape, for
// maxScrapes callers at a time at the most, and sets those that it knows. Before the
// first scrape.
func (s *Set) Read(fn func(ctx context.Context, r *Reading)) { s.gauges.read = fn }
