package imapd

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"postern/server/directory"
	"postern/storage"
	"postern/storage/audit"
)

// TestAC4_Matrix has a credential with each set of rights try each command. A command succeeds exactly when the rights
// that it needs are all there, and each refusal is on record.
func TestAC4_Matrix(t *testing.T) {
	h := newHome(t, nil)
	commands := []struct {
		command string
		needs   storage.Verbs
		select_ bool
	}{
		{"SELECT INBOX", storage.Read, false},
		{"EXAMINE INBOX", storage.Read, false},
		{"STATUS INBOX (MESSAGES)", storage.Read, false},
		{"CREATE box%d", storage.Append, false},
		{"DELETE old%d", storage.Delete, false},
		{"RENAME name%d other%d", storage.Append | storage.Delete, false},
		{"SUBSCRIBE Sent", storage.Flag, false},
		{"UNSUBSCRIBE Sent", storage.Flag, false},
		{"APPEND INBOX {14+}\r\nSubject: x\r\n\r\n", storage.Append, false},
		{"FETCH 1 (FLAGS BODY[])", storage.Read, true},
		{"SEARCH TEXT x", storage.Read, true},
		{"STORE 1 +FLAGS (\\Seen)", storage.Read | storage.Flag, true},
		{"COPY 1 Archive", storage.Read | storage.Append, true},
		{"MOVE 1 Archive", storage.Read | storage.Append | storage.Delete, true},
		{"EXPUNGE", storage.Read | storage.Delete, true},
		{"UID EXPUNGE 1", storage.Read | storage.Delete, true},
	}
	refused := 0
	for verbs := storage.Verbs(1); verbs <= allRights; verbs++ {
		if verbs&storage.Send != 0 && verbs != storage.Send {
			continue // sending opens nothing here: once is enough
		}
		name := fmt.Sprint("agent", verbs)
		h.agent(t, name, verbs)
		h.fill(t, 2, 100)
		scout := h.login(t, "scout")
		scout.ok(fmt.Sprintf("CREATE old%d", verbs))
		scout.ok(fmt.Sprintf("CREATE name%d", verbs))
		c := h.login(t, name)
		for _, x := range commands {
			command := strings.ReplaceAll(x.command, "%d", fmt.Sprint(verbs))
			if x.select_ {
				if verbs&storage.Read == 0 {
					continue // no way to select, which was tried
				}
				c.ok("SELECT INBOX")
			}
			_, reply := c.do(command)
			allowed := verbs&x.needs == x.needs
			if !allowed {
				refused++
			}
			if want := map[bool]string{true: "OK ", false: "NO [NOPERM] "}[allowed]; !strings.HasPrefix(reply, want) {
				t.Errorf("%s: %s: %s", directory.FormatVerbs(verbs), command, reply)
			}
		}
	}
	if got := len(h.events(t, audit.SessionRefused)); got != refused {
		t.Errorf("%d refusals on record, want %d", got, refused)
	}
}

// TestAC5_NothingTellsNames: a mailbox that is not there, the quarantine and one of another inbox answer the same, word for
// word; and where a right is missing, so does one that is there.
func TestAC5_NothingTellsNames(t *testing.T) {
	h := newHome(t, nil)
	h.deposit(t, storage.RoleQuarantine, 0, []byte("Subject: x\r\n\r\n"))
	h.agent(t, "sender", storage.Send)
	trace := regexp.MustCompile(`\([A-Z0-9]{10}\)`)
	for agent, names := range map[string][]string{
		"scout":  {"Quarantine", "never", "sales@example.com", "QUARANTINE", "a/b/c"},
		"sender": {"Quarantine", "never", "INBOX", "Sent"},
	} {
		c := h.login(t, agent)
		for _, command := range []string{"SELECT %s", "EXAMINE %s", "STATUS %s (MESSAGES UIDNEXT)", "DELETE %s", "SUBSCRIBE %s",
			"UNSUBSCRIBE %s", "RENAME %s x", "APPEND %s {14+}\r\nSubject: x\r\n\r\n"} {
			var first string
			for i, name := range names {
				lines, reply := c.do(fmt.Sprintf(command, name))
				reply = trace.ReplaceAllString(fmt.Sprint(lines, reply), "()")
				if i == 0 {
					first = reply
				}
				if reply != first || !strings.HasPrefix(reply, "[]NO") {
					t.Errorf("%s: "+command+": %s, and of another name: %s", agent, name, reply, first)
				}
			}
		}
	}
}

// locked holds the database's write lock, so that nothing can be recorded, until the returned function is called.
func (h *home) locked(t *testing.T, data string) (unlock func()) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(data, "postern.db")+"?_txlock=immediate")
	check(t, err)
	tx, err := db.Begin()
	check(t, err)
	return func() {
		check(t, tx.Rollback())
		check(t, db.Close())
	}
}

// TestFailClosed: when the log cannot be written, nothing that would have to be in it is shown or done (invariant 4), and
// what needs no event works.
func TestFailClosed(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the database's patience")
	}
	h := newHome(t, nil)
	h.fill(t, 3, 200)
	c := h.login(t, "scout")
	c.ok("SELECT INBOX")
	commands := []string{"FETCH 1:3 (FLAGS BODY[])", "SEARCH TEXT agent", "STORE 1 +FLAGS (\\Deleted)"}
	clients := make([]*client, len(commands))
	for i := range clients {
		clients[i] = h.login(t, "scout")
		clients[i].ok("SELECT INBOX")
	}
	unlock := h.locked(t, h.data)
	var each sync.WaitGroup
	for i, command := range commands { // at once: they share the wait
		each.Go(func() {
			lines, reply := clients[i].do(command)
			if len(lines) > 0 || !strings.HasPrefix(reply, "NO [UNAVAILABLE] Temporary failure (") {
				t.Errorf("%s: %q %s", command, lines, reply)
			}
		})
	}
	each.Wait()
	if lines := c.ok("FETCH 1:3 (FLAGS)"); len(lines) != 3 {
		t.Errorf("%q", lines)
	}
	unlock()
	if lines := c.ok("FETCH 1 (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])"); !strings.Contains(strings.Join(lines, " "), "Order 0") {
		t.Errorf("%q", lines)
	}
}

// TestNoTransactionWhileWriting: a client that does not read holds no read transaction open, so that the log of the
// database can be reset under it.
func TestNoTransactionWhileWriting(t *testing.T) {
	h := newHome(t, nil)
	h.fill(t, 400, 60_000)
	c := h.login(t, "scout")
	c.ok("SELECT INBOX")
	c.write("a FETCH 1:* BODY.PEEK[]\r\n")
	for range 10 {
		c.line()
	}
	h.deposit(t, storage.RoleInbox, 0, letter(1, 1000))
	time.Sleep(100 * time.Millisecond) // for the pipe to fill: it makes the test sharper, not right
	db, err := sql.Open("sqlite", "file:"+filepath.Join(h.data, "postern.db"))
	check(t, err)
	defer db.Close()
	var busy, pages, done int
	check(t, db.QueryRow("PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &done))
	if busy != 0 {
		t.Error("a read transaction is open while the client is written to")
	}
}

// TestAC9_RevokedInFetch: a session that is ended while it writes, to a client that does not read, is over.
func TestAC9_RevokedInFetch(t *testing.T) {
	h := newHome(t, nil)
	h.fill(t, 200, 60_000)
	c := h.login(t, "scout")
	c.ok("SELECT INBOX")
	c.write("a FETCH 1:* BODY.PEEK[]\r\n")
	c.line()
	_, err := h.directory.RevokeCredential(t.Context(), storage.System, h.org.ID, h.creds["scout"].ID, "test")
	check(t, err)
	var events []audit.Event
	for range 500 { // the client reads nothing meanwhile
		if events = h.events(t, audit.SessionEnd); len(events) > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if len(events) != 1 || events[0].Fields.Text(audit.KeyRule) != "revoked" {
		t.Errorf("%v", events)
	}
	n, _ := io.Copy(io.Discard, c.r)
	if n > 200*60_000*3/4 {
		t.Errorf("%d bytes came all the same", n)
	}
}

// TestFetchMemoryIsFlat: a large message passes through without being held.
func TestFetchMemoryIsFlat(t *testing.T) {
	h := newHome(t, nil)
	const size = 40 << 20
	h.deposit(t, storage.RoleInbox, 0, letter(1, size))
	c := h.login(t, "scout")
	c.ok("SELECT INBOX")
	c.run("FETCH 1 BODY.PEEK[HEADER]")
	for _, item := range []string{"BODY.PEEK[]", "BINARY.PEEK[1]", "BODY.PEEK[TEXT]<100.30000000>"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		n := c.run("FETCH 1 " + item)
		runtime.ReadMemStats(&after)
		if n < 30_000_000 {
			t.Errorf("%s: %d bytes", item, n)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > size/4 {
			t.Errorf("%s: %d bytes were allocated", item, used)
		}
	}
}

// TestShutdownEndsSessions: sessions are told, and end; nobody comes in afterwards.
func TestShutdownEndsSessions(t *testing.T) {
	h := newHome(t, nil)
	idle, quiet := h.login(t, "scout"), h.login(t, "scout")
	idle.write("a IDLE\r\n")
	idle.line()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	check(t, h.Shutdown(ctx))
	for _, c := range []*client{idle, quiet} {
		if got := c.line(); got != "* BYE The server is going down" {
			t.Error(got)
		}
		if rest, err := io.ReadAll(c.r); err != nil || len(rest) > 0 {
			t.Errorf("%q, %v", rest, err)
		}
	}
	events := h.events(t, audit.SessionEnd)
	if len(events) != 2 || events[0].Fields.Text(audit.KeyRule) != "shutdown" {
		t.Errorf("%v", events)
	}
	h.served <- <-h.served // the cleanup looks at it too
}

// TestDamagedMessage: one message that cannot be read does not hide the others, and is not guessed at.
func TestDamagedMessage(t *testing.T) {
	h := newHome(t, nil)
	h.fill(t, 3, 500)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(h.data, "postern.db"))
	check(t, err)
	_, err = db.Exec("UPDATE body SET sealed = (SELECT sealed FROM body WHERE no = 1) WHERE no = 2")
	check(t, err)
	check(t, db.Close())
	c := h.login(t, "scout")
	c.ok("SELECT INBOX")
	lines, reply := c.do("FETCH 1:3 (UID BODY.PEEK[TEXT])")
	text := strings.Join(lines, "\n")
	if !strings.HasPrefix(reply, "NO [CORRUPTION] Stored data cannot be read (") || !strings.Contains(text, "UID 1 ") ||
		strings.Contains(text, "UID 2 ") || !strings.Contains(text, "UID 3 ") {
		t.Errorf("%.60s: %s", text, reply)
	}
	if got := c.ok("SEARCH TEXT order")[0]; got != "* SEARCH 1 3" {
		t.Error(got)
	}
}

// TestLogsSayNothing: what clients send and messages contain is not in the log.
func TestLogsSayNothing(t *testing.T) {
	h := newHome(t, nil)
	var log bytes.Buffer
	h.log = textLog(&log)
	h.fill(t, 1, 300)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(h.data, "postern.db"))
	check(t, err)
	_, err = db.Exec("UPDATE body SET sealed = x'00'")
	check(t, err)
	check(t, db.Close())
	c := h.login(t, "scout")
	c.ok("SELECT INBOX")
	c.do("FETCH 1 BODY[]")
	c.do(`SEARCH TEXT "my secret"`)
	c.do("SELECT my-secret")
	if s := log.String(); len(s) == 0 || strings.Contains(s, "secret") || strings.Contains(s, "alice") || strings.Contains(s, "pst_") {
		t.Errorf("%q", s)
	}
}
