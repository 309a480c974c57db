package metrics

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// AV-3: what looks like an address, a domain, a name or an id never becomes a label.
func TestAV3_LabelsAreWords(t *testing.T) {
	for in, want := range map[string]string{
		"": "none", "limit-messages": "limit-messages", "tls13": "tls13",
		"ann@alpha.test": "other", "alpha.test": "other", "192.0.2.1": "other", "2001:db8::1": "other", "Scout": "other", "a b": "other", "é": "other",
		uuid.NewString(): "other", "pst_live_abcdefgh": "other", strings.Repeat("a", 33): "other", "-x": "other", "9x": "other", "a\"b": "other", "a\nb": "other",
	} {
		if got := Word(in); got != want {
			t.Errorf("Word(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestFamiliesAreBounded(t *testing.T) {
	s := New("test")
	for i := range 10 * maxSeries {
		s.Refused.Add(1, "rule-"+string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676)))
	}
	if n := testutil.CollectAndCount(s.Refused.vec); n > maxSeries+1 {
		t.Errorf("a family has %d series", n)
	}
	var nobody *Counters
	nobody.Add(1, "x")
}

// full is a set in which everything has a value.
func full() *Set {
	s := New("1.2.3")
	for _, c := range []*Counters{s.Received, s.Submitted, s.Refused, s.Strangers, s.Held, s.Decided, s.Kept, s.Deliveries, s.Logins, s.Alerts, s.Events} {
		c.Add(2, "one", "two")
	}
	s.Scored(time.Millisecond)
	s.Answered("mx", time.Second)
	s.Committed(3, time.Millisecond)
	s.Read(func(_ context.Context, r *Reading) {
		for _, g := range all {
			r.Set(g, 7, "word")
		}
		r.Time(BackupTime, time.Time{}) // never: says nothing
	})
	return s
}

// Names and help follow what Prometheus asks for.
func TestNamesFollowTheConvention(t *testing.T) {
	problems, err := testutil.GatherAndLint(full().registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "postern_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestDoor(t *testing.T) {
	var live, ready error
	d := NewDoor(full(), func(context.Context) error { return live }, func(context.Context) error { return ready }, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Serve(l) }()
	get := func(method, path string) (int, string) {
		t.Helper()
		r, _ := http.NewRequestWithContext(t.Context(), method, "http://"+l.Addr().String()+path, nil)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	code, text := get("GET", "/metrics")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if code != 200 || err != nil {
		t.Fatalf("/metrics: %d, %v", code, err)
	}
	for _, name := range []string{"postern_messages_received_total", "postern_ready", "postern_commit_transactions", "postern_receive_duration_seconds", "go_goroutines", "process_open_fds"} {
		if families[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
	if code, text := get("GET", "/healthz/live"); code != 200 || text != "live\n" {
		t.Errorf("live: %d %q", code, text)
	}
	live, ready = errors.New("the secret cause"), errors.New("the secret cause")
	for path, want := range map[string]string{"/healthz/live": "not live\n", "/healthz/ready": "not ready\n"} {
		if code, text := get("GET", path); code != 503 || text != want {
			t.Errorf("%s: %d %q", path, code, text)
		}
	}
	if code, _ := get("POST", "/metrics"); code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", code)
	}
	if code, _ := get("GET", "/"); code != http.StatusNotFound {
		t.Errorf("/: %d", code)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := d.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
