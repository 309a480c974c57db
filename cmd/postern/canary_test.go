package main_test

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	_ "modernc.org/sqlite"
)

// canaries hands out strings that begin alike, so that one search finds any.
type canaries struct {
	mark string
	n    int
}

func newCanaries() *canaries {
	return &canaries{mark: fmt.Sprintf("kanari%08x", rand.Uint32())}
}

func (c *canaries) next() string {
	c.n++
	return fmt.Sprintf("%s%04d", c.mark, c.n)
}

// forms are the ways in which a canary could lie in a file.
func (c *canaries) forms() [][]byte {
	var forms [][]byte
	add := func(b string) { forms = append(forms, []byte(b)) }
	add(c.mark)
	add(strings.ToUpper(c.mark))
	add(hex.EncodeToString([]byte(c.mark)))
	var wide []byte
	for _, b := range []byte(c.mark) {
		wide = append(wide, b, 0)
	}
	forms = append(forms, wide)
	for shift := range 3 {
		// Inside base64 a string has three forms, by its place; their ends depend on
		// the neighbours.
		enc := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + c.mark))
		add(enc[(shift*8+5)/6+1 : len(enc)-5])
	}
	return forms
}

// search looks for canaries, and for other secrets, in every file below the
// directories.
func (c *canaries) search(t *testing.T, secrets []string, dirs ...string) (found []string) {
	t.Helper()
	forms := c.forms()
	for _, s := range secrets {
		forms = append(forms, []byte(s))
	}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || d.Name() == "agents.json" {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, form := range forms {
				if i := bytes.Index(b, form); i >= 0 {
					found = append(found, fmt.Sprintf("%s at %d: %q", path, i, b[max(0, i-20):min(len(b), i+60)]))
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// busy drives a server with canaries in everything that a stranger, an agent or
// an operator can write, and returns the tokens that were made.
func (c *canaries) busy(t *testing.T, d *dev) (tokens []string) {
	t.Helper()
	for i := range 20 {
		name := "agent-" + c.next()
		d.postern("agent", "create", name, "--owner", c.next()+"@owner.test", "--purpose", c.next())
		inbox := c.next() + "@dev.test"
		d.postern("inbox", "create", inbox)
		out := d.postern("credential", "create", name, "--scope", "read,send:"+inbox, "-o", "json")
		_, rest, _ := strings.Cut(out, `"pst_`)
		token, _, ok := strings.Cut(rest, `"`)
		if !ok {
			t.Fatalf("no token in the answer to credential create %d", i)
		}
		tokens = append(tokens, "pst_"+token)
	}
	for _, a := range d.Agents {
		tokens = append(tokens, a.Token)
	}
	c.receive(t, d)
	c.submit(t, d)
	c.read(t, d)
	return tokens
}

// message has a canary in every place of a message.
func (c *canaries) message(from, to string, size int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "From: %s <%s>\r\nTo: %s <%s>\r\nSubject: %s\r\nMessage-ID: <%s@x.test>\r\nIn-Reply-To: <%s@x.test>\r\nX-%s: %s\r\n", c.next(), from, c.next(), to, c.next(), c.next(), c.next(), c.next(), c.next())
	fmt.Fprintf(&b, "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=%q\r\n\r\n", c.next())
	boundary := fmt.Sprintf("%s%04d", c.mark, c.n)
	fmt.Fprintf(&b, "--%s\r\nContent-Type: text/plain\r\n\r\n%s\r\n", boundary, c.next())
	fmt.Fprintf(&b, "--%s\r\nContent-Type: application/octet-stream; name=%q\r\nContent-Disposition: attachment; filename=%q\r\n\r\n", boundary, c.next(), c.next())
	for b.Len() < size {
		fmt.Fprintf(&b, "%s The harbour was quiet that morning, and the boats lay at their berths.\r\n", c.mark)
	}
	fmt.Fprintf(&b, "\r\n--%s--\r\n", boundary)
	return []byte(b.String())
}

func (c *canaries) receive(t *testing.T, d *dev) {
	t.Helper()
	s, err := d.dialSMTP(-1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Quit()
	if err := s.Hello(c.next() + ".test"); err != nil {
		t.Fatal(err)
	}
	for n := range 30 {
		from := c.next() + "@elsewhere.test"
		size := []int{500, 9000, 400_000}[n%3]
		if err := send(s, from, d.Agents[0].Inbox, c.message(from, d.Agents[0].Inbox, size)); err != nil {
			t.Fatal(err)
		}
		if n < 2 { // each unknown recipient slows the session down
			s.Mail(from)
			s.Rcpt(c.next() + "@dev.test")
			s.Reset()
		}
	}
}

func (c *canaries) submit(t *testing.T, d *dev) {
	t.Helper()
	s, err := d.dialSMTP(0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Quit()
	me := d.Agents[0].Inbox
	for _, to := range []string{d.Agents[1].Inbox, c.next() + "@remote.test", "permerror@" + c.next() + ".test", c.next() + "@dev.test"} {
		for range 4 {
			if err := send(s, me, to, c.message(me, to, 3000)); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(s, c.next()+"@dev.test", me, c.message(me, me, 100)) // a sender that is not the agent's
}

func (c *canaries) read(t *testing.T, d *dev) {
	t.Helper()
	cl := d.imap(0)
	defer func() { cl.Logout().Wait() }()
	folder := "Folder " + c.next()
	if err := cl.Create(folder, nil).Wait(); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		m := c.message("me@dev.test", "you@dev.test", 2000)
		a := cl.Append(folder, int64(len(m)), &imap.AppendOptions{Flags: []imap.Flag{imap.Flag(c.next())}})
		a.Write(m)
		a.Close()
		if _, err := a.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	d.bodies(cl, "INBOX")
	for range 5 {
		cl.Search(&imap.SearchCriteria{Text: []string{c.next()}}, nil).Wait()
		cl.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: c.next()}}}, nil).Wait()
	}
	cl.Select("no-"+c.next(), nil).Wait()
	if _, err := cl.Select(folder, nil).Wait(); err != nil {
		t.Fatal(err)
	}
	var all imap.SeqSet
	all.AddRange(1, 5)
	if err := cl.Store(all, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.Flag("K" + c.next())}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := cl.Copy(all, "Archive").Wait(); err != nil {
		t.Fatal(err)
	}
}

// vacuumed copies the database of a stopped server as SQLite rewrites it.
func vacuumed(t *testing.T, dir string) string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "postern.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	out := t.TempDir()
	if _, err := db.Exec("VACUUM INTO $1", filepath.Join(out, "copy.db")); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestCO2_NothingReadableAtRest searches every file of a busy server for 1,000
// canaries, while it runs, after it stopped, and in a copy after VACUUM.
func TestCO2_NothingReadableAtRest(t *testing.T) {
	bin := binary(t, "")
	dir := filepath.Join(t.TempDir(), "dev")
	c := newCanaries()
	d := startDev(t, bin, dir)
	tokens := c.busy(t, d)
	for c.n < 1000 {
		c.receive(t, d)
	}
	for _, f := range c.search(t, tokens, dir) {
		t.Error("while it runs: ", f)
	}
	d.stop()
	for _, f := range c.search(t, tokens, dir) {
		t.Error("after it stopped: ", f)
	}
	for _, f := range c.search(t, tokens, vacuumed(t, filepath.Join(dir, "data"))) {
		t.Error("after VACUUM: ", f)
	}
	logs := t.TempDir()
	log := d.log.Bytes()
	if i := bytes.Index(log, []byte("level=")); i >= 0 {
		log = log[i:] // what dev prints before the log are the tokens that it made, for the person at the terminal
	}
	os.WriteFile(filepath.Join(logs, "log"), log, 0o600)
	for _, f := range c.search(t, nil, logs) {
		t.Error("in the log: ", f)
	}
	c.provesItself(t, filepath.Join(dir, "data"))
}

// provesItself plants a canary as a file and as a row, which the search must find.
func (c *canaries) provesItself(t *testing.T, dir string) {
	t.Helper()
	planted := t.TempDir()
	os.WriteFile(filepath.Join(planted, "file"), []byte("x"+base64.StdEncoding.EncodeToString([]byte("ab"+c.next()+"cd"))), 0o600)
	if len(c.search(t, nil, planted)) == 0 {
		t.Error("the search does not find a planted file")
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "postern.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("INSERT INTO meta (name, value) VALUES ('planted', $1)", []byte(c.next())); err != nil {
		t.Fatal(err)
	}
	db.Close()
	if len(c.search(t, nil, dir)) == 0 {
		t.Error("the search does not find a planted row")
	}
}
