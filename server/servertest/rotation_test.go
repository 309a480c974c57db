package servertest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"
	gosmtp "github.com/emersion/go-smtp"

	"postern/dkim"
	"postern/dns"
	"postern/dns/nameserver"
	"postern/server/directory"
	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
)

// A faraway server receives all mail of far.test. A message to "late" is put off for
// four days, so that it waits in our queue; one to "held" is taken at once and
// arrives five days later, as from a relay that tries for as long as it may
// (RFC 5321, section 4.5.4.1). When a message arrives, the names that its signatures
// need are asked of our own name server, at that moment.
type faraway struct {
	t     *testing.T
	p     *servertest.Postern
	names *dns.Client

	mu      sync.Mutex
	first   map[string]time.Time // attempt, by recipient
	tries   map[string]int
	putOff  int        // attempts
	noted   int        // of them, those that the queue has recorded
	from    uint64     // events before are counted
	under   []*arrival // taken, and not arrived
	arrived []*arrival
}

type arrival struct {
	to      string
	taken   time.Time
	message string
	records map[string]string // as our name server had them when it arrived
}

const (
	lateFor = 4 * 24 * time.Hour
	heldFor = 5 * 24 * time.Hour
)

func newFaraway(t *testing.T, p *servertest.Postern) *faraway {
	t.Helper()
	port := p.Addr("smtp").(*net.TCPAddr).Port
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.77.200:%d", port))
	fatal(t, err)
	client, err := dns.NewClient(dns.Config{Servers: []string{p.Addr("dns").String()}})
	fatal(t, err)
	f := &faraway{t: t, p: p, names: client, first: map[string]time.Time{}, tries: map[string]int{}}
	s := gosmtp.NewServer(gosmtp.BackendFunc(func(*gosmtp.Conn) (gosmtp.Session, error) { return &farSession{f: f}, nil }))
	s.Domain = "mx.far.test"
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	fatal(t, p.World.Names.SetZone(nameserver.Zone{Origin: "far.test", Nameservers: []string{"ns.test"}, Records: []nameserver.Record{
		{Name: "far.test", Type: nameserver.MX, Data: "10 mx.far.test"}, {Name: "mx.far.test", Type: nameserver.A, Data: "127.0.77.200"},
	}}))
	return f
}

type farSession struct {
	f  *faraway
	to string
}

func (s *farSession) Mail(string, *gosmtp.MailOptions) error { return nil }

func (s *farSession) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	now := s.f.p.World.Clock.Now()
	if s.f.first[to].IsZero() {
		s.f.first[to] = now
	}
	s.f.tries[to]++
	if strings.HasPrefix(to, "late") && now.Before(s.f.first[to].Add(lateFor)) {
		s.f.putOff++
		return &gosmtp.SMTPError{Code: 451, EnhancedCode: gosmtp.EnhancedCode{4, 7, 1}, Message: "Later"}
	}
	s.to = to
	return nil
}

func (s *farSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	a := &arrival{to: s.to, taken: s.f.p.World.Clock.Now(), message: string(b)}
	if strings.HasPrefix(s.to, "held") {
		s.f.mu.Lock()
		defer s.f.mu.Unlock()
		s.f.under = append(s.f.under, a)
		return nil
	}
	s.f.arrive(a)
	return nil
}

func (s *farSession) Reset()        {}
func (s *farSession) Logout() error { return nil }

var selectorTag = regexp.MustCompile(`[; \t]s=([^;\s]+);`)

// selectors are those of a message's signatures.
func (a *arrival) selectors() (all []string) {
	head, _, _ := strings.Cut(a.message, "\r\n\r\n")
	for _, m := range selectorTag.FindAllStringSubmatch(head, -1) {
		all = append(all, m[1])
	}
	return all
}

// arrive looks up what the message needs.
func (f *faraway) arrive(a *arrival) {
	a.records = map[string]string{}
	for _, s := range a.selectors() {
		name := dkim.RecordName(s, "alpha.test")
		if found, err := f.names.LookupTXT(f.t.Context(), name); err == nil && len(found.Records) == 1 {
			a.records[name] = found.Records[0]
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.arrived = append(f.arrived, a)
}

// release lets arrive what was held for long enough.
func (f *faraway) release() {
	f.mu.Lock()
	var due []*arrival
	f.under = slices.DeleteFunc(f.under, func(a *arrival) bool {
		over := !f.p.World.Clock.Now().Before(a.taken.Add(heldFor))
		if over {
			due = append(due, a)
		}
		return over
	})
	f.mu.Unlock()
	for _, a := range due {
		f.arrive(a)
	}
}

// taken says how many messages of a kind have been taken.
func (f *faraway) count(prefix string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range slices.Concat(f.under, f.arrived) {
		if strings.HasPrefix(a.to, prefix) {
			n++
		}
	}
	return n
}

// wait waits for a state of the world.
func (f *faraway) wait(what string, is func() bool) {
	f.t.Helper()
	for end := time.Now().Add(5 * time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatalf("in vain: %s", what)
		}
	}
}

// post has the agent send three messages, and waits until each had its first attempt.
func (f *faraway) post(n int) {
	f.t.Helper()
	scout := f.p.Agents["scout"]
	c := dial(f.t, f.p, "submissions")
	defer c.conn.Close()
	c.reply()
	c.command("EHLO agent.test")
	if r := c.command("AUTH PLAIN " + plain(scout)); r[0] != '2' {
		f.t.Fatal(r)
	}
	for _, kind := range []string{"now", "late", "held"} {
		to := fmt.Sprintf("%s%d@far.test", kind, n)
		c.command("MAIL FROM:<" + scout.Address + ">")
		c.command("RCPT TO:<" + to + ">")
		c.command("DATA")
		if r := c.finish(fmt.Sprintf("From: %s\r\nTo: %s\r\nSubject: rotation %d\r\n\r\nHello %s.\r\n", scout.Address, to, n, kind)); r[0] != '2' {
			f.t.Fatal(r)
		}
	}
	f.wait(fmt.Sprintf("first attempts of %d", n), func() bool {
		f.mu.Lock()
		late := f.tries[fmt.Sprintf("late%d@far.test", n)]
		f.mu.Unlock()
		return late > 0 && f.count(fmt.Sprintf("now%d@", n)) == 1 && f.count(fmt.Sprintf("held%d@", n)) == 1
	})
}

// recorded reports whether the queue knows of all that was put off, and so when to
// try again.
func (f *faraway) recorded() bool {
	for {
		events, err := f.p.Server().Store().Events(f.t.Context(), storage.EventQuery{From: f.from})
		fatal(f.t, err)
		for _, e := range events {
			f.from = e.Seq + 1
			if e.Verb == audit.QueueAttempt {
				f.noted++
			}
		}
		if len(events) == 0 {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.noted == f.putOff
		}
	}
}

// advance moves the clock, and waits until what waits in the queue was tried again.
func (f *faraway) advance(d time.Duration) {
	f.t.Helper()
	f.wait("attempts are recorded", f.recorded)
	f.mu.Lock()
	before := map[string]int{}
	for to, n := range f.tries {
		if strings.HasPrefix(to, "late") && !slices.ContainsFunc(f.arrived, func(a *arrival) bool { return a.to == to }) {
			before[to] = n
		}
	}
	f.mu.Unlock()
	fatal(f.t, f.p.World.Advance(d))
	if d >= 24*time.Hour {
		f.retried(before)
	}
	f.release()
}

// retried waits until all recipients had another attempt. One that was under way
// when the clock moved is due again by the new time: then the clock moves on by more
// than the longest pause of the queue.
func (f *faraway) retried(before map[string]int) {
	f.t.Helper()
	nudge := time.Now().Add(2 * time.Second)
	f.wait("another attempt", func() bool {
		if time.Now().After(nudge) {
			fatal(f.t, f.p.World.Advance(5*time.Hour))
			f.release()
			nudge = time.Now().Add(2 * time.Second)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		for to, n := range before {
			if f.tries[to] == n {
				return false
			}
		}
		return true
	})
}

// states are those of the domain's keys of one algorithm.
func (f *faraway) states(a dkim.Algorithm) string {
	_, all, err := f.p.Server().Directory().KeyStatuses(f.t.Context(), f.p.Org.ID, "alpha.test")
	fatal(f.t, err)
	var states []string
	for _, k := range all {
		if k.Algorithm == string(a) {
			states = append(states, string(k.State))
		}
	}
	return strings.Join(states, " ")
}

func (f *faraway) both(what string, is func(states string) bool) {
	f.t.Helper()
	f.wait(what, func() bool { return is(f.states(dkim.RSA)) && is(f.states(dkim.Ed25519)) })
}

// signing are the selectors that sign now.
func (f *faraway) signing() (all []string) {
	_, statuses, err := f.p.Server().Directory().KeyStatuses(f.t.Context(), f.p.Org.ID, "alpha.test")
	fatal(f.t, err)
	for _, k := range statuses {
		if k.State == dkim.Signing {
			all = append(all, k.Selector)
		}
	}
	slices.Sort(all)
	return all
}

// rotate has new keys sign, with mail before, between and after.
func (f *faraway) rotate(n int) {
	f.t.Helper()
	old := f.signing()
	fatal(f.t, f.p.Server().Directory().RotateKeys(f.t.Context(), storage.System, f.p.Org.ID, "alpha.test", directory.KeyOrder{Reason: "drill"}))
	fatal(f.t, f.p.Publish(f.t.Context()))
	f.advance(10 * time.Minute) // to the next look at the DNS
	f.both("the keys are seen", func(s string) bool { return strings.HasSuffix(s, "signing published") })
	f.post(100 * n)
	f.signedBy(100*n, old)
	f.advance(2 * time.Hour)
	f.both("the keys sign", func(s string) bool { return strings.HasSuffix(s, "retiring signing") })
	if slices.ContainsFunc(f.signing(), func(s string) bool { return slices.Contains(old, s) }) {
		f.t.Errorf("%v sign after %v", f.signing(), old)
	}
	f.post(100*n + 1)
	f.signedBy(100*n+1, f.signing())
}

// signedBy holds what was taken of a post to the keys that signed it.
func (f *faraway) signedBy(n int, selectors []string) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range slices.Concat(f.under, f.arrived) {
		if a.to == fmt.Sprintf("now%d@far.test", n) || a.to == fmt.Sprintf("held%d@far.test", n) {
			if got := slices.Sorted(slices.Values(a.selectors())); !slices.Equal(got, selectors) {
				f.t.Errorf("%s is signed by %v, want %v", a.to, got, selectors)
			}
		}
	}
}

// TestCO3_RotationUnderMail rotates the keys three times while mail leaves, waits in
// the queue for days, and waits for days at other servers. Every message verifies
// when it arrives, with the records that our name server has then; and each key goes
// through each state.
func TestCO3_RotationUnderMail(t *testing.T) {
	t.Parallel()
	p := servertest.New(t, servertest.Options{Agents: []string{"scout"}, Configure: serving(servertest.FreeAddr(t, 0), "192.0.2.25")})
	unlimited(t, p, p.Agents["scout"])
	f := newFaraway(t, p)
	posts := 0
	for day := range 16 {
		switch {
		case day < 6 && day%2 == 0:
			f.rotate(1 + day/2)
			posts += 2
			fallthrough
		case day < 6:
			f.post(day)
			posts++
		}
		f.advance(24 * time.Hour)
		fatal(t, p.Publish(t.Context()))
	}
	f.both("the old keys are retired", func(s string) bool { return s == "retired retired retired signing" })
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.arrived) != 3*posts || len(f.under) != 0 {
		t.Errorf("%d of %d messages arrived", len(f.arrived), 3*posts)
	}
	for _, a := range f.arrived {
		verdicts, err := msgauth.VerifyWithOptions(strings.NewReader(a.message), &msgauth.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
			if r, ok := a.records[strings.TrimSuffix(name, ".")]; ok {
				return []string{r}, nil
			}
			return nil, fmt.Errorf("no record %s", name)
		}})
		if err != nil || len(verdicts) != 2 || verdicts[0].Err != nil || verdicts[1].Err != nil {
			t.Errorf("%s, taken %s: %v, %v", a.to, a.taken, verdicts, err)
		}
	}
	f.independent()
	f.history()
}

// independent asks dkimpy about every message.
func (f *faraway) independent() {
	f.t.Helper()
	const python = "/usr/bin/python3" // which has Debian's packages; the first in PATH may be another
	if err := exec.Command(python, "-c", "import dkim, nacl; dkim.DKIM").Run(); err != nil {
		if os.Getenv("CI") == "true" {
			f.t.Fatal("python3-dkim is not installed")
		}
		f.t.Log("not verified by dkimpy: python3-dkim is not installed (.ci/run installs it)")
		return
	}
	type job struct {
		Message string            `json:"message"`
		Records map[string]string `json:"records"`
	}
	var jobs []job
	for _, a := range f.arrived {
		jobs = append(jobs, job{a.message, a.records})
	}
	in, err := json.Marshal(jobs)
	fatal(f.t, err)
	script, err := filepath.Abs(filepath.Join("testdata", "dkim", "verify.py"))
	fatal(f.t, err)
	cmd := exec.Command(python, script)
	cmd.Dir, cmd.Stdin = f.t.TempDir(), bytes.NewReader(in)
	out, err := cmd.Output()
	fatal(f.t, err)
	var valid [][]bool
	fatal(f.t, json.Unmarshal(out, &valid))
	for i, v := range valid {
		if !slices.Equal(v, []bool{true, true}) {
			f.t.Errorf("dkimpy says %v of %s, with %v", v, f.arrived[i].to, f.arrived[i].records)
		}
	}
	if len(valid) != len(f.arrived) {
		f.t.Errorf("dkimpy looked at %d of %d", len(valid), len(f.arrived))
	}
}

// history holds the log to each state of each key.
func (f *faraway) history() {
	f.t.Helper()
	counts := map[string]int{}
	for from := uint64(0); ; {
		events, err := f.p.Server().Store().Events(f.t.Context(), storage.EventQuery{From: from})
		fatal(f.t, err)
		if len(events) == 0 {
			break
		}
		for _, e := range events {
			from = e.Seq + 1
			if strings.HasPrefix(e.Verb.String(), "dkim.") && e.Verb != audit.DKIMRotate && e.Outcome == audit.OK {
				counts[fmt.Sprintf("%s %s", e.Fields.Text(audit.KeyAlgorithm), e.Fields.Text(audit.KeyState))]++
			}
		}
	}
	for _, a := range []string{"rsa", "ed25519"} {
		for state, want := range map[string]int{"prepared": 3, "published": 3, "signing": 4, "retiring": 3, "retired": 3} {
			if got := counts[a+" "+state]; got != want {
				f.t.Errorf("AU-11: %d keys by %s came into the state %s, want %d", got, a, state, want)
			}
		}
	}
}
