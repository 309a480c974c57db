package main_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

// loadTime is how long the mixed load lasts; POSTERN_LOAD sets another time, as 20m.
func loadTime(t *testing.T) time.Duration {
	if d, err := time.ParseDuration(os.Getenv("POSTERN_LOAD")); err == nil {
		return d
	}
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	return 15 * time.Second
}

// loaded is a server under mixed load: agents, strangers and people at once, and
// somebody who kills it. What was promised stands in its book.
type loaded struct {
	*company
	t    *testing.T
	seed uint64
	long bool // it runs for minutes, so that what grows can be seen

	peer   *peer
	book   *book
	gate   gate
	trust  *tls.Config
	agents []*loadAgent
	mark   *canaries
	tokens tokens
	pid    atomic.Int64
	births atomic.Int64 // how often the server was started

	mu      sync.Mutex
	counts  map[string]int
	times   map[string][]time.Duration
	faults  map[string][]string
	samples []sample
	killed  map[int64]bool // the lives that ended without a word
	begun   time.Time
}

// loadAgent is an agent whose token changes under its feet.
type loadAgent struct {
	name, inbox string

	mu    sync.Mutex
	id    string // of the credential
	token string
	since int // how often it was changed
}

func (a *loadAgent) current() (token string, since int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.token, a.since
}

// gate tells clients when the server is up, and who got an error whether it died
// meanwhile.
type gate struct {
	mu    sync.Mutex
	life  int
	alive bool
	up    chan struct{}
}

// opens is called when the server can be talked to.
func (g *gate) opens() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.life++
	g.alive = true
	if g.up != nil {
		close(g.up)
		g.up = nil
	}
}

// shuts is called before the server is ended.
func (g *gate) shuts() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.alive = false
}

// wait returns which life of the server this is, once it lives; zero: the load is over.
func (g *gate) wait(ctx context.Context) int {
	for ctx.Err() == nil {
		g.mu.Lock()
		if g.alive {
			defer g.mu.Unlock()
			return g.life
		}
		if g.up == nil {
			g.up = make(chan struct{})
		}
		up := g.up
		g.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-up:
		}
	}
	return 0
}

// lasts reports whether the server lives on as it did.
func (g *gate) lasts(life int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.alive && g.life == life
}

// rand is a generator of a worker's own, the same for the same seed.
func (w *loaded) rand(worker string) *rand.Rand {
	var key [32]byte
	copy(key[:], fmt.Sprintf("%016x %s", w.seed, worker))
	return rand.New(rand.NewChaCha8(key))
}

// pause waits for about as long; it reports whether the load goes on.
func (w *loaded) pause(ctx context.Context, r *rand.Rand, about time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(about/2 + time.Duration(r.Int64N(int64(about)))):
		return true
	}
}

// count counts what was done.
func (w *loaded) count(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[what]++
}

// took notes how long something took.
func (w *loaded) took(what string, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.times[what] = append(w.times[what], d)
}

// fault notes what should not have happened.
func (w *loaded) fault(what, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults[what] = append(w.faults[what], time.Since(w.begun).Round(time.Millisecond).String()+": "+fmt.Sprintf(format, args...))
}

// command runs a command at the control socket. Errors while the server lives are
// faults, unless the caller expects them: it then sees the text.
func (w *loaded) command(ctx context.Context, args ...string) (out, talk string, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.bin, append([]string{"--control", w.Control}, args...)...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	return o.String(), e.String(), err
}

// status is a command's exit status; -1: it did not run.
func status(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// newLoaded starts a server with an admin who is logged in, a domain and agents, and
// a server of somebody else's to write to.
func newLoaded(t *testing.T, long bool) *loaded {
	n := newInternet(t)
	w := &loaded{company: n.company("here.test", "127.0.0.1"), t: t, seed: rand.Uint64(), long: long, mark: newCanaries(), book: newBook(),
		counts: map[string]int{}, times: map[string][]time.Duration{}, killed: map[int64]bool{}, faults: map[string][]string{}}
	if s, err := strconv.ParseUint(os.Getenv("POSTERN_SEED"), 16, 64); err == nil {
		w.seed = s
	}
	t.Logf("POSTERN_SEED=%016x", w.seed)
	w.company.t, w.dev.t = t, t
	config, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	config = append(config, "[limits]\nconnections = 1000\nper_network = 1000\n"...)
	if err := os.WriteFile(w.config, config, 0o600); err != nil {
		t.Fatal(err)
	}
	w.peer = newPeer(t, n, "peer.test", "127.0.0.2", w.rand("peer"), w.births.Load)
	w.trust = w.tls()
	w.begun = time.Now()
	w.revive()
	w.admin()
	for name, text := range w.addDomain() {
		w.peer.publish(name, text)
	}
	for i := range 4 {
		w.agents = append(w.agents, w.newAgent(fmt.Sprintf("agent%d", i)))
	}
	w.newAgent("scratch")
	return w
}

// admin makes a person and logs them in; what agents may do is then hardly limited.
func (w *loaded) admin() {
	w.t.Setenv("POSTERN_SESSION_FILE", filepath.Join(w.t.TempDir(), "session"))
	w.t.Setenv("POSTERN_PASSWORD", "correct-horse-battery")
	var made struct {
		Secret string `json:"totp_secret"`
	}
	if err := json.Unmarshal([]byte(w.postern("admin", "create", "ada@here.test", "--role", "admin", "-o", "json", "--session", "none")), &made); err != nil {
		w.t.Fatal(err)
	}
	code, err := totp.GenerateCode(made.Secret, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	w.postern("login", "--admin", "ada@here.test", "--code", code)
	w.postern("policy", "set", "org", "person-proof", "1d")
}

func (w *loaded) newAgent(name string) *loadAgent {
	a := &loadAgent{name: name, inbox: name + "@here.test"}
	w.postern("inbox", "create", a.inbox)
	w.postern("agent", "create", name, "--owner", "owner@here.test")
	for _, key := range []string{"messages-per-hour", "messages-per-day", "first-time-per-day"} {
		w.postern("policy", "set", "agent:"+name, key, "1000000")
	}
	var made struct{ ID, Secret string }
	if err := json.Unmarshal([]byte(w.postern("credential", "create", name, "--scope", allScopes+a.inbox, "-o", "json")), &made); err != nil {
		w.t.Fatal(err)
	}
	a.id, a.token = made.ID, made.Secret
	w.tokens.add(a.token)
	return a
}

const allScopes = "read,flag,append,delete,send:"

// revive starts the server and lets the clients at it.
func (w *loaded) revive() {
	w.t.Helper()
	w.births.Add(1)
	w.start()
	w.pid.Store(int64(w.PID))
	w.gate.opens()
}

// slay ends the server, nearly always without a word.
func (w *loaded) slay(r *rand.Rand) {
	w.t.Helper()
	w.gate.shuts()
	if r.IntN(6) == 0 {
		w.stop() // in order: exit status 0
		w.count("stops in order")
		return
	}
	w.mu.Lock()
	w.killed[w.births.Load()] = true
	w.mu.Unlock()
	w.kill()
	w.count("kills")
}

// TestAV4_MixedLoad runs all that a server does at once, kills it at random moments,
// and holds every promise against what is there: nothing is lost, nothing doubled, no
// revoked token works, the log verifies, nothing is readable, and what the process
// holds does not grow. POSTERN_LOAD=20m is the long form, in which growth is judged.
func TestAV4_MixedLoad(t *testing.T) {
	lasts := loadTime(t)
	w := newLoaded(t, lasts >= 5*time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	var all sync.WaitGroup
	w.work(ctx, &all)
	w.haunt(ctx, lasts)
	<-ctx.Done()
	all.Wait()
	w.settle()
	w.holds()
	w.logVerifies()
	w.stop()
	w.nothingReadable()
	verifyData(t, w.bin, w.dir)
	w.backupsRestore()
	w.tell()
}

// haunt kills the server at random moments. In the long form the last two fifths are
// one life, in which growth can be seen.
func (w *loaded) haunt(ctx context.Context, lasts time.Duration) {
	r := w.rand("killer")
	about, until := 4*time.Second, time.Now().Add(lasts*9/10)
	if w.long {
		about, until = 20*time.Second, time.Now().Add(lasts*3/5)
	}
	for w.pause(ctx, r, about) {
		if time.Now().After(until) {
			return
		}
		w.slay(r)
		w.revive()
		if r.IntN(3) == 0 {
			syscall.Kill(w.PID, syscall.SIGHUP) // certificates are read again
			w.count("hangups")
		}
	}
}

// sample is what the process held at a moment.
type sample struct {
	at      time.Duration // since the load began
	life    int
	age     time.Duration // of this process, at the least
	rss     int           // KiB
	handles int
}

// watch samples the process every few seconds.
func (w *loaded) watch(ctx context.Context) {
	life, born := 0, time.Now()
	for {
		now := w.gate.wait(ctx)
		if now == 0 {
			return
		}
		if now != life {
			life, born = now, time.Now()
		}
		pid := w.pid.Load()
		s := sample{at: time.Since(w.begun), life: life, age: time.Since(born), rss: residentKiB(pid)}
		if open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); err == nil {
			s.handles = len(open)
		}
		if s.rss > 0 && s.handles > 0 && w.gate.lasts(life) {
			w.mu.Lock()
			w.samples = append(w.samples, s)
			w.mu.Unlock()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(2 * time.Second):
		}
	}
}

// residentKiB is VmRSS of proc(5).
func residentKiB(pid int64) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(fields[0])
	return n
}

// spread is the least, the middle and the greatest of numbers.
func spread(all []int) string {
	if len(all) == 0 {
		return "-"
	}
	slices.Sort(all)
	return fmt.Sprintf("%d/%d/%d", all[0], all[len(all)/2], all[len(all)-1])
}

func middle(all []int) int {
	slices.Sort(all)
	return all[len(all)/2]
}

// tell prints the figures, and what should not have happened.
func (w *loaded) tell() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, what := range slices.Sorted(keysOf(w.counts)) {
		w.t.Logf("%-28s %d", what, w.counts[what])
	}
	for _, what := range slices.Sorted(keysOf(w.times)) {
		all := w.times[what]
		slices.Sort(all)
		w.t.Logf("%-28s p50 %v, p99 %v, max %v of %d", what, all[len(all)/2], all[len(all)*99/100], all[len(all)-1], len(all))
	}
	w.growth()
	for _, what := range slices.Sorted(keysOf(w.faults)) {
		texts := w.faults[what]
		w.t.Errorf("%s, %d times:\n%s", what, len(texts), strings.Join(texts[:min(len(texts), 5)], "\n"))
	}
}

func keysOf[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// growth shows what the process held by quarters of the run, and judges the last life.
func (w *loaded) growth() {
	w.t.Helper()
	if len(w.samples) == 0 {
		return
	}
	end := w.samples[len(w.samples)-1].at
	var rss, handles [4][]int
	for _, s := range w.samples {
		q := min(int(4*s.at/(end+1)), 3)
		rss[q], handles[q] = append(rss[q], s.rss), append(handles[q], s.handles)
	}
	for q := range 4 {
		w.t.Logf("quarter %d: RSS KiB min/median/max %s, handles %s", q+1, spread(rss[q]), spread(handles[q]))
	}
	if !w.long {
		return
	}
	last := w.samples[len(w.samples)-1].life
	of := slices.DeleteFunc(slices.Clone(w.samples), func(s sample) bool { return s.life != last || s.age < 30*time.Second })
	if len(of) < 40 {
		w.t.Logf("the last life has %d samples: nothing can be said about growth", len(of))
		return
	}
	var first, final [2][]int
	for i, s := range of {
		if i < len(of)/4 {
			first[0], first[1] = append(first[0], s.rss), append(first[1], s.handles)
		} else if i >= len(of)*3/4 {
			final[0], final[1] = append(final[0], s.rss), append(final[1], s.handles)
		}
	}
	w.t.Logf("the last life of %v: RSS KiB %s in its first quarter, %s in its last; handles %s, %s",
		of[len(of)-1].age.Round(time.Second), spread(first[0]), spread(final[0]), spread(first[1]), spread(final[1]))
	if a, b := middle(first[0]), middle(final[0]); b > a+a/2+32<<10 {
		w.t.Errorf("memory grew from %d to %d KiB", a, b)
	}
	if a, b := middle(first[1]), middle(final[1]); b > a+a/2+16 {
		w.t.Errorf("open handles grew from %d to %d", a, b)
	}
}
