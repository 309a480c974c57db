package servertest_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"postern/server/servertest"
	"postern/storage"
	"postern/storage/audit"
	"postern/storage/seal"
)

// note is a message that a test can count.
func note(name string) string {
	return "From: ada@sender.test\r\nMessage-ID: <" + name + "@sender.test>\r\nSubject: " + name + "\r\n\r\n" + name + "\r\n"
}

// lab is a server in a directory that a test knows.
func lab(t *testing.T, dir string, agents ...string) *servertest.Postern {
	t.Helper()
	return servertest.New(t, servertest.Options{Dir: dir, Agents: agents})
}

// foreign opens the server's database as another program would.
func foreign(t *testing.T, dir string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "data", "postern.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func run(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// sound stops the server and holds its rows against its own log.
func sound(t *testing.T, p *servertest.Postern, dir string) {
	t.Helper()
	if err := p.Down(); err != nil {
		t.Error(err)
	}
	root, err := seal.LoadRootKey(filepath.Join(dir, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	report, err := storage.VerifyData(t.Context(), storage.Config{Dir: filepath.Join(dir, "data"), Root: root, Witness: filepath.Join(dir, "witness")})
	if err != nil || !report.OK() {
		t.Errorf("the log against the rows: %+v, %v", report, err)
	}
}

// inboxHas insists on the subjects in an agent's INBOX, in order.
func inboxHas(t *testing.T, p *servertest.Postern, agent string, subjects ...string) {
	t.Helper()
	c := imap(t, p, p.Agents[agent])
	c.want("OK", "EXAMINE INBOX")
	data := string(c.want("OK", "FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]"))
	var got []string
	for _, line := range strings.Split(data, "\r\n") {
		if s, ok := strings.CutPrefix(line, "Subject: "); ok {
			got = append(got, s)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(subjects) {
		t.Errorf("INBOX of %s has %v, want %v", agent, got, subjects)
	}
}

// TestInvariant4_DatabaseLocked: while another program holds the database, mail is
// deferred, nothing is read, nobody comes in; afterwards everything goes on, and
// what the sender tries again is there once.
func TestInvariant4_DatabaseLocked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := lab(t, dir, "scout")
	sender, reader := smtp(t, p), imap(t, p, p.Agents["scout"])
	if r := sender.send("scout@alpha.test", note("first")); r[:3] != "250" {
		t.Fatal(r)
	}
	reader.want("OK", "SELECT INBOX")
	searcher, stranger := imap(t, p, p.Agents["scout"]), dial(t, p, "imaps")
	searcher.want("OK", "SELECT INBOX")
	stranger.line()
	if r := sender.begin("scout@alpha.test"); r[:3] != "354" {
		t.Fatal(r)
	}
	other := foreign(t, dir)
	run(t, other, "BEGIN IMMEDIATE")
	sender.say(dotted(note("second"))) // all at once: each waits for the lock for some seconds
	reader.say("t FETCH 1 BODY.PEEK[]")
	searcher.say("t SEARCH TEXT first")
	stranger.say("t LOGIN scout@alpha.test " + p.Agents["scout"].Token)
	if r := sender.reply(); !strings.HasPrefix(r, "451 4.3.0 ") {
		t.Errorf("DATA: %s", r)
	}
	for _, c := range []*peer{reader, searcher, stranger} {
		if result, data := c.answer(); result != "NO [UNAVAILABLE" || len(data) > 0 {
			t.Errorf("without its event: %s %q", result, data)
		}
	}
	reader.want("OK", "FETCH 1 FLAGS") // what needs no event works
	run(t, other, "ROLLBACK")
	for range 2 { // the second time as one who lost the reply
		if r := sender.send("scout@alpha.test", note("second")); r[:3] != "250" {
			t.Errorf("DATA after the lock: %s", r)
		}
	}
	reader.want("OK", "FETCH 1 BODY.PEEK[]")
	inboxHas(t, p, "scout", "first", "second")
	sound(t, p, dir)
}

// TestInvariant9_CorruptRecords: a record that does not open hides itself alone. Its
// neighbours are read and written, and mail for an inbox whose own record is
// damaged waits at its sender.
func TestInvariant9_CorruptRecords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := lab(t, dir, "scout", "clerk")
	sender := smtp(t, p)
	for _, name := range []string{"one", "two", "three"} {
		if r := sender.send("scout@alpha.test", note(name)); r[:3] != "250" {
			t.Fatal(r)
		}
	}
	other := foreign(t, dir)
	// flip changes the last byte of a sealed record, and back.
	flip := func(table, key string, id any) {
		t.Helper()
		var sealed []byte
		if err := other.QueryRow("SELECT sealed FROM "+table+" WHERE "+key+" = ?", id).Scan(&sealed); err != nil {
			t.Fatal(err)
		}
		sealed[len(sealed)-1] ^= 1
		run(t, other, "UPDATE "+table+" SET sealed = ? WHERE "+key+" = ?", sealed, id)
	}
	var place int64
	if err := other.QueryRow("SELECT place FROM message ORDER BY place LIMIT 1 OFFSET 1").Scan(&place); err != nil {
		t.Fatal(err)
	}
	flip("content", "place", place)
	reader := imap(t, p, p.Agents["scout"])
	reader.want("OK", "SELECT INBOX")
	data := string(reader.want("NO [CORRUPTION", "FETCH 1:* BODY.PEEK[TEXT]"))
	if !strings.Contains(data, "\r\none\r\n") || strings.Contains(data, "two") || !strings.Contains(data, "\r\nthree\r\n") {
		t.Errorf("the damaged message and its neighbours: %q", data)
	}
	if data := reader.want("OK", "SEARCH BODY o"); string(data) != "* SEARCH 1\r\n" {
		t.Errorf("SEARCH over a damaged message: %q", data)
	}
	reader.want("NO [CORRUPTION", "COPY 2 Archive")
	flip("content", "place", place)
	reader.want("OK", "FETCH 2 BODY.PEEK[TEXT]")

	inbox := p.Agents["scout"].Inbox.ID
	flip("inbox", "id", inbox[:])
	// What was read before is good as it was read, until a record of the kind is written.
	_, err := p.Server().Directory().CreateInbox(t.Context(), storage.System, p.Org.ID, "desk@alpha.test", storage.Live)
	fatal(t, err)
	if r := sender.send("scout@alpha.test", note("four")); r[:2] != "45" {
		t.Errorf("mail for an inbox that cannot be read: %s", r)
	}
	if r := sender.send("clerk@alpha.test", note("other")); r[:3] != "250" {
		t.Errorf("mail for its neighbour: %s", r)
	}
	fresh := dial(t, p, "imaps")
	fresh.line()
	fresh.want("NO [UNAVAILABLE", "LOGIN scout@alpha.test "+p.Agents["scout"].Token)
	flip("inbox", "id", inbox[:])
	if r := sender.send("scout@alpha.test", note("four")); r[:3] != "250" {
		t.Errorf("afterwards: %s", r)
	}
	inboxHas(t, p, "scout", "one", "two", "three", "four")
	inboxHas(t, p, "clerk", "other")
	sound(t, p, dir)
}

// TestInvariant1_ClockSetBack: mail arrives, is known again and is sent on when the
// clock goes back under a running server and between two runs; UIDs go on growing,
// the step is an event, and the log verifies.
func TestInvariant1_ClockSetBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := lab(t, dir, "scout", "clerk")
	deliver := func(name string) {
		t.Helper()
		if r := smtp(t, p).send("scout@alpha.test", note(name)); r[:3] != "250" {
			t.Errorf("%s: %s", name, r)
		}
	}
	advance := func(d time.Duration) {
		t.Helper()
		if err := p.World.Advance(d); err != nil {
			t.Fatal(err)
		}
	}
	deliver("one")
	advance(-48 * time.Hour)
	deliver("one") // again: it is known though it came in the future
	deliver("two")
	c := dial(t, p, "submissions")
	c.reply()
	c.command("EHLO client.test")
	if r := c.command("AUTH PLAIN " + plain(p.Agents["scout"])); r[:3] != "235" {
		t.Fatal(r)
	}
	c.command("MAIL FROM:<scout@alpha.test>")
	c.command("RCPT TO:<clerk@alpha.test>")
	c.command("DATA")
	if r := c.finish("From: scout@alpha.test\r\nSubject: sent\r\n\r\nx\r\n"); r[:3] != "250" {
		t.Error(r)
	}
	eventually(t, func() bool { return len(events(t, p, audit.QueueDelivered)) == 1 })
	if err := p.Down(); err != nil {
		t.Fatal(err)
	}
	advance(-30 * 24 * time.Hour)
	if err := p.Up(); err != nil {
		t.Fatal(err)
	}
	deliver("two")
	deliver("three")
	inboxHas(t, p, "scout", "one", "two", "three")
	inboxHas(t, p, "clerk", "sent")
	if n := len(events(t, p, audit.ClockStep)); n == 0 {
		t.Error("no event says that the clock was set back")
	}
	sound(t, p, dir)
}

// TestInvariant1_StopDuringData: a stop in the middle of a message waits for it.
// What is acknowledged is there after the next start, and a message that was cut
// is not.
func TestInvariant1_StopDuringData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := lab(t, dir, "scout")
	whole, cut := smtp(t, p), smtp(t, p)
	for _, c := range []*peer{whole, cut} {
		if r := c.begin("scout@alpha.test"); r[:3] != "354" {
			t.Fatal(r)
		}
	}
	cut.say("Subject: cut")
	down := make(chan error, 1)
	idle := smtp(t, p)
	go func() { down <- p.Down() }()
	if r := idle.reply(); r[:3] != "421" {
		t.Errorf("a session between two commands: %s", r)
	}
	cut.conn.Close()
	if r := whole.finish(note("whole")); r[:3] != "250" {
		t.Errorf("the message under way: %s", r)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
	if err := p.Up(); err != nil {
		t.Fatal(err)
	}
	inboxHas(t, p, "scout", "whole")
	sound(t, p, dir)
}

// TestInvariant4_DiskFull fills the disk of a running server. Below the reserve mail
// is deferred while reading and revoking work; on a disk that is full to the last
// byte nothing is accepted, nothing is shown, and revoking still ends sessions;
// with room again everything goes on by itself.
func TestInvariant4_DiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=96m"); err != nil {
		t.Skipf("needs the right to mount a small file system, so that it can be full: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	p := lab(t, dir, "scout", "clerk", "victim")
	sender, reader := smtp(t, p), imap(t, p, p.Agents["scout"])
	clerk, victim := imap(t, p, p.Agents["clerk"]), imap(t, p, p.Agents["victim"])
	if r := sender.send("scout@alpha.test", note("first")); r[:3] != "250" {
		t.Fatal(r)
	}
	reader.want("OK", "SELECT INBOX")
	under := smtp(t, p)
	under.begin("scout@alpha.test")

	fill(t, dir, 16<<20)
	if r := sender.send("scout@alpha.test", note("second")); !strings.HasPrefix(r, "452 4.3.1 ") {
		t.Errorf("below the reserve: %s", r)
	}
	reader.want("OK", "FETCH 1 BODY.PEEK[]")
	reader.want("NO [OVERQUOTA", "COPY 1 Archive")
	reader.want("NO [OVERQUOTA", "APPEND Archive {5+}\r\nx: y\n")
	revoke(t, p, "victim", victim, nil)

	fill(t, dir, 0)
	if r := sender.send("scout@alpha.test", note("second")); !strings.HasPrefix(r, "452 4.3.1 ") {
		t.Errorf("on a full disk: %s", r)
	}
	if r := under.finish("Subject: under way\r\n\r\n" + strings.Repeat("x\r\n", 100_000)); !strings.HasPrefix(r, "452 4.3.1 ") {
		t.Errorf("the message under way: %s", r)
	}
	if got, data := reader.ask("FETCH 1 BODY.PEEK[]"); got[:2] != "NO" || strings.Contains(string(data), "first") {
		t.Errorf("content without its event: %s %q", got, data)
	}
	revoke(t, p, "clerk", clerk, storage.ErrFull)

	os.Remove(filepath.Join(dir, "ballast"))
	eventually(t, func() bool { return sender.send("scout@alpha.test", note("second"))[:3] == "250" })
	reader.want("OK", "FETCH 1 BODY.PEEK[]")
	inboxHas(t, p, "scout", "first", "second")
	sound(t, p, dir)
}

// TestInvariant1_DiskFails: when the disk fails under a commit the sender is told to
// come again, and the server ends with an error for whoever starts it anew. (Not
// beside other tests: it exchanges descriptors of this process.)
func TestInvariant1_DiskFails(t *testing.T) {
	dir := t.TempDir()
	p := lab(t, dir, "scout")
	sender := smtp(t, p)
	if r := sender.send("scout@alpha.test", note("first")); r[:3] != "250" {
		t.Fatal(r)
	}
	readOnly(t, filepath.Join(dir, "data", "postern.db-wal"))
	if r := sender.send("scout@alpha.test", note("second")); !strings.HasPrefix(r, "451 4.3.0 ") {
		t.Errorf("DATA on a disk that fails: %s", r)
	}
	if r := sender.reply(); r[:3] != "421" {
		t.Errorf("the server goes on: %s", r)
	}
	if err := p.Down(); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("the server ended with %v", err)
	}
	if err := p.Up(); err != nil {
		t.Fatal(err)
	}
	if r := smtp(t, p).send("scout@alpha.test", note("second")); r[:3] != "250" {
		t.Error(r)
	}
	inboxHas(t, p, "scout", "first", "second")
	sound(t, p, dir)
}

// readOnly puts a descriptor that cannot be written in the place of every one that
// this process has open on a file, as a disk that fails would.
func readOnly(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("needs /proc: %v", err)
	}
	for _, e := range fds {
		fd, err := strconv.Atoi(e.Name())
		if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); err != nil || to != path || fd == int(f.Fd()) {
			continue
		}
		if err := unix.Dup3(int(f.Fd()), fd, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
	}
}

// fill leaves that many bytes on a file system, and waits until the server has seen it.
func fill(t *testing.T, dir string, leave int64) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "ballast"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, int64(st.Bavail)*st.Bsize-leave)); err != nil && !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond) // the kernel is asked once a second
}

// revoke ends the credential of a session, which must end whether or not that can be
// recorded.
func revoke(t *testing.T, p *servertest.Postern, agent string, c *peer, want error) {
	t.Helper()
	a := p.Agents[agent]
	if _, err := p.Server().Directory().RevokeCredential(context.Background(), storage.System, p.Org.ID, a.Credential.ID, "test"); !errors.Is(err, want) {
		t.Errorf("revoke: %v, want %v", err, want)
	}
	if text := c.line(); !strings.HasPrefix(text, "* BYE ") {
		t.Errorf("the session of a credential that was revoked heard %q", text)
	}
}

// events are those of one verb.
func events(t *testing.T, p *servertest.Postern, verb audit.Verb) []audit.Event {
	t.Helper()
	all, err := p.Server().Store().Events(context.Background(), storage.EventQuery{Verbs: []audit.Verb{verb}})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// eventually waits for what happens beside the test.
func eventually(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not happen")
		}
	}
}
