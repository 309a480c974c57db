package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// crashRounds is how often the server is killed; POSTERN_CRASH_ROUNDS sets
// another number.
func crashRounds(t *testing.T) int {
	if n, err := strconv.Atoi(os.Getenv("POSTERN_CRASH_ROUNDS")); err == nil {
		return n
	}
	if testing.Short() {
		return 2
	}
	return 5
}

// ledger is what senders were promised.
type ledger struct {
	mu    sync.Mutex
	acked map[string]string // subject -> text that was acknowledged
	maybe map[string]string // sent, and the connection broke before an answer
}

func (l *ledger) note(subject, text string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.acked[subject] = text
	} else {
		l.maybe[subject] = text
	}
}

// crashText is a body that tells a truncation: random lines and an end.
func crashText(subject string) string {
	size := []int{200, 4000, 60_000, 300_000}[rand.IntN(4)]
	var b strings.Builder
	fmt.Fprintf(&b, "begin %s\r\n", subject)
	for b.Len() < size {
		fmt.Fprintf(&b, "%016x%016x%016x%016x\r\n", rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64())
	}
	fmt.Fprintf(&b, "end %s\r\n", subject)
	return b.String()
}

// load sends until the connection breaks.
func (l *ledger) load(d *dev, agent int, prefix string) {
	c, err := d.dialSMTP(agent)
	if err != nil {
		return
	}
	defer c.Close()
	from, to := "stranger@elsewhere.test", d.Agents[0].Inbox
	if agent >= 0 {
		from, to = d.Agents[agent].Inbox, d.Agents[1-agent].Inbox
	}
	for n := 0; ; n++ {
		subject := fmt.Sprintf("%s-%d", prefix, n)
		text := crashText(subject)
		message := fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nMessage-ID: <%s@elsewhere.test>\r\nDate: Mon, 02 Jan 2026 15:04:05 +0000\r\n\r\n%s", from, to, subject, subject, text)
		err := send(c, from, to, []byte(message))
		l.note(subject, text, err)
		if err != nil {
			return
		}
	}
}

// loads starts a laboratory, and a sender to it for each of some agents, -1 being a
// stranger. They end with it.
func (l *ledger) loads(t *testing.T, bin, dir string, round int, agents ...int) (*dev, *sync.WaitGroup) {
	t.Helper()
	d, wg := startDev(t, bin, dir), new(sync.WaitGroup)
	if round == 0 {
		d.unlimited()
	}
	for i, agent := range agents {
		wg.Go(func() { l.load(d, agent, fmt.Sprintf("r%d-s%d", round, i)) })
	}
	return d, wg
}

// TestInvariant1_KillUnderLoad kills the server at random moments under load:
// every message that was acknowledged is there exactly once and whole, and the
// log agrees with the mailboxes.
func TestInvariant1_KillUnderLoad(t *testing.T) {
	bin := binary(t, "")
	dir := filepath.Join(t.TempDir(), "dev")
	t.Setenv("POSTERN_SESSION_FILE", filepath.Join(dir, "session")) // the laboratory's admin
	l := &ledger{acked: map[string]string{}, maybe: map[string]string{}}
	for round := range crashRounds(t) {
		d, wg := l.loads(t, bin, dir, round, -1, -1, -1, -1, 0, 1)
		time.Sleep(time.Duration(20+rand.IntN(700)) * time.Millisecond)
		d.kill()
		wg.Wait()
	}
	if len(l.acked) == 0 {
		t.Fatal("no message was acknowledged: the load does not work")
	}
	t.Logf("%d messages acknowledged, %d without an answer", len(l.acked), len(l.maybe))
	d := startDev(t, bin, dir)
	l.check(t, d)
	checkLog(t, d)
	d.stop()
	verifyData(t, bin, dir)
}

// check compares both inboxes with the ledger, after the queue has emptied.
func (l *ledger) check(t *testing.T, d *dev) {
	t.Helper()
	found := map[string][]string{}
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		queue := strings.TrimSpace(d.postern("queue", "list", "-o", "jsonl"))
		clear(found)
		for agent := range 2 {
			c := d.imap(agent)
			for subject, texts := range d.bodies(c, "INBOX") {
				found[subject] = append(found[subject], texts...)
			}
			c.Logout().Wait()
		}
		missing := 0
		for subject := range l.acked {
			if len(found[subject]) == 0 {
				missing++
			}
		}
		// What the queue still holds could arrive a second time.
		if missing == 0 && queue == "" {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("%d acknowledged messages are missing, and the queue holds %q", missing, queue)
			break
		}
	}
	for subject, texts := range found {
		want, acked := l.acked[subject]
		if !acked {
			want = l.maybe[subject]
		}
		if len(texts) != 1 {
			t.Errorf("%s is there %d times", subject, len(texts))
		}
		if texts[0] != want {
			t.Errorf("%s: its text is not what was sent (%d bytes, want %d)", subject, len(texts[0]), len(want))
		}
	}
}

// checkLog verifies the log as an auditor would, and counts.
func checkLog(t *testing.T, d *dev) {
	t.Helper()
	dir := t.TempDir()
	bundle, key := filepath.Join(dir, "bundle.jsonl"), filepath.Join(dir, "key")
	d.postern("audit", "export", bundle)
	if err := os.WriteFile(key, []byte(d.postern("audit", "key")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(d.bin, "audit", "verify", bundle, "--key", key).CombinedOutput(); err != nil {
		t.Errorf("audit verify: %v\n%s", err, out)
	}
	b, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	received := 0
	for line := range bytes.Lines(b) {
		var l struct {
			Event struct{ Verb string }
		}
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		if l.Event.Verb == "message.received" {
			received++
		}
	}
	stored := 0
	for agent := range 2 {
		c := d.imap(agent)
		data, err := c.Select("INBOX", nil).Wait()
		if err != nil {
			t.Fatal(err)
		}
		stored += int(data.NumMessages)
		c.Logout().Wait()
	}
	if received != stored {
		t.Errorf("%d delivery events and %d messages", received, stored)
	}
}

// verifyData holds the stopped server's rows against its log.
func verifyData(t *testing.T, bin, dir string) {
	t.Helper()
	if out, err := exec.Command(bin, "audit", "verify", "--data", filepath.Join(dir, "data"), "--root-key", filepath.Join(dir, "root.key")).CombinedOutput(); err != nil {
		t.Errorf("audit verify --data: %v\n%s", err, out)
	}
}
