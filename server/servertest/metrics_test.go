package servertest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"postern/server"
	"postern/server/servertest"
)

// watched starts a server whose door for programs is open.
func watched(t *testing.T, agents ...string) *servertest.Postern {
	return servertest.New(t, servertest.Options{Agents: agents, Configure: func(c *server.Config) { c.Listen.Metrics = "127.0.0.1:0" }})
}

// told is what the door for programs says.
func told(t *testing.T, p *servertest.Postern, path string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.Server().Addr("metrics").String()+path, nil)
	fatal(t, err)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	fatal(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	fatal(t, err)
	return resp.StatusCode, string(b)
}

// scraped parses a scrape strictly, and finds values in it.
type scraped struct {
	t        *testing.T
	families map[string]*dto.MetricFamily
}

func scrape(t *testing.T, p *servertest.Postern) (scraped, string) {
	t.Helper()
	code, text := told(t, p, "/metrics")
	if code != http.StatusOK {
		t.Fatalf("a scrape is answered with %d: %s", code, text)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	fatal(t, err)
	return scraped{t, families}, text
}

// value sums the series of a family that have these values of labels, in any order.
func (s scraped) value(name string, labels ...string) (sum float64) {
	s.t.Helper()
	f := s.families[name]
	if f == nil {
		s.t.Errorf("there is no %s", name)
		return 0
	}
	for _, m := range f.Metric {
		has := map[string]bool{}
		for _, l := range m.Label {
			has[l.GetValue()] = true
		}
		all := true
		for _, l := range labels {
			all = all && has[l]
		}
		if all {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

// TestAV3_Metrics: what a server says of itself follows from the mail that it had, and says nothing of whose that was.
func TestAV3_Metrics(t *testing.T) {
	t.Parallel()
	p := watched(t, "scout", "clerk")
	const subject = "Zahlungserinnerung"
	mail := func(from, kind string) string { return mailOfKind(from, kind, len(kind), 7) + subject + "\r\n" }
	for _, kind := range []string{"clean", "suspicious", "quarantine"} {
		if r := smtp(t, p).send("scout@alpha.test", mail("ada@sender.test", kind)); r[:3] != "250" {
			t.Fatal(r)
		}
	}
	if r := smtp(t, p).send("scout@alpha.test", mail("ada@sender.test", "clean")); r[:3] != "250" { // again
		t.Fatal(r)
	}
	if r := submitter(t, p, "clerk").submit("clerk@alpha.test", "scout@alpha.test", mail("clerk@alpha.test", "clean")); r[:3] != "250" {
		t.Fatal(r)
	}
	s := submitter(t, p, "clerk")
	s.command("MAIL FROM:<clerk@alpha.test>")
	s.command("RCPT TO:<scout@alpha.test>")
	s.command("DATA")
	if r := s.finish(mail("scout@alpha.test", "clean")); r[0] != '5' {
		t.Fatal(r)
	}
	reader := imap(t, p, p.Agents["scout"])
	waitFor(t, "delivery of what was submitted", func() bool {
		got, _ := scrape(t, p)
		return got.families["postern_deliveries_total"] != nil && got.value("postern_deliveries_total", "delivered") == 1
	})
	got, text := scrape(t, p)
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"postern_messages_received_total", []string{"clean", "delivered"}, 2}, // one of them from the agent
		{"postern_messages_received_total", []string{"suspicious", "delivered"}, 1},
		{"postern_messages_received_total", []string{"quarantine", "quarantined"}, 1},
		{"postern_messages_received_total", []string{"duplicate"}, 1},
		{"postern_messages_submitted_total", []string{"accepted"}, 1},
		{"postern_messages_submitted_total", []string{"refused"}, 1},
		{"postern_policy_refusals_total", []string{"from-not-inbox"}, 1},
		{"postern_logins_total", []string{"agent", "ok"}, 3},
		{"postern_receive_duration_seconds", []string{"mx"}, 4},
		{"postern_receive_duration_seconds", []string{"submissions"}, 1},
		{"postern_sessions", []string{"imap"}, 1},
		{"postern_quarantine_messages", nil, 1},
		{"postern_approvals_waiting", nil, 0},
		{"postern_queue_recipients", nil, 0},
		{"postern_ready", nil, 1},
		{"postern_storage_up", nil, 1},
		{"postern_audit_witness_up", nil, 1},
	} {
		if v := got.value(c.name, c.labels...); v != c.want {
			t.Errorf("%s%q is %v, want %v", c.name, c.labels, v, c.want)
		}
	}
	for _, name := range []string{"postern_scorer_duration_seconds", "postern_commit_transactions", "postern_commit_duration_seconds", "postern_audit_log_events",
		"postern_disk_free_bytes", "postern_storage_bytes", "postern_certificate_expiry_timestamp_seconds", "go_goroutines", "process_resident_memory_bytes"} {
		if got.value(name) <= 0 {
			t.Errorf("%s is not told", name)
		}
	}
	for _, secret := range []string{"scout", "clerk", "ada@", "alpha.test", "sender.test", subject, "127.0.", "pst_", p.Agents["scout"].Agent.ID.String()} {
		if strings.Contains(text, secret) {
			t.Errorf("a scrape has %q", secret)
		}
	}
	reader.conn.Close()
}

// TestAV3_Probes: a server that is up lives and is ready; one that waits to be set up lives alone.
func TestAV3_Probes(t *testing.T) {
	t.Parallel()
	p := watched(t)
	for path, want := range map[string]string{"/healthz/live": "live\n", "/healthz/ready": "ready\n"} {
		if code, text := told(t, p, path); code != http.StatusOK || text != want {
			t.Errorf("%s: %d %q", path, code, text)
		}
	}
	dir := t.TempDir()
	if code, text := told(t, p, "/healthz/../"+dir); code != http.StatusNotFound || strings.Contains(text, "root.key") {
		t.Errorf("%d %q", code, text)
	}
	fatal(t, p.Server().Store().Abandon()) // as if the disk had gone
	if code, text := told(t, p, "/healthz/ready"); code != http.StatusServiceUnavailable || text != "not ready\n" {
		t.Errorf("without a store: %d %q", code, text)
	}
	if code, text := told(t, p, "/healthz/live"); code != http.StatusServiceUnavailable || text != "not live\n" {
		t.Errorf("without a store: %d %q", code, text)
	}
	if code, _ := told(t, p, "/metrics"); code != http.StatusOK {
		t.Errorf("without a store a scrape is %d", code)
	}
	_ = p.Down() // it has lost its store
}

// TestAV3_ReadyEndsBeforeTheStop: while a stop waits for a message that is under way, who asks is told not to send more.
func TestAV3_ReadyEndsBeforeTheStop(t *testing.T) {
	t.Parallel()
	p := watched(t, "scout")
	address := "http://" + p.Server().Addr("metrics").String() + "/healthz/"
	probe := func(path string) string {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get(address + path)
		fatal(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		fatal(t, err)
		return string(b)
	}
	c := smtp(t, p)
	if r := c.begin("scout@alpha.test"); r[0] != '3' {
		t.Fatal(r)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Down() }()
	waitFor(t, "word that it stops", func() bool { return probe("ready") == "not ready\n" })
	if got := probe("live"); got != "live\n" {
		t.Errorf("while it stops: %q", got)
	}
	if r := c.finish(mailOfKind("ada@sender.test", "clean", 1, 1)); r[:3] != "250" {
		t.Errorf("what was under way: %s", r)
	}
	fatal(t, <-ended)
}
