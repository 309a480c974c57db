package imapd

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/server/delivery"
	"postern/server/directory"
	"postern/server/message"
	"postern/storage"
	"postern/storage/audit"
	"postern/storage/seal"
)

// home is a server on loopback with all that is behind it: a real store, one domain, the inboxes support@ and sales@, and
// as many agents as a test asks for.
type home struct {
	*Server
	clock   *clock
	org     storage.Organization
	support storage.InboxRecord
	sales   storage.InboxRecord
	inbound *delivery.Inbound
	tokens  map[string]string // by the agent's name
	creds   map[string]storage.Credential
	addr    string
	client  *tls.Config
	served  chan error
	data    string // folder of the store
}

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(time.Microsecond)
	return c.t
}

const (
	supportAddress = "support@example.com"
	salesAddress   = "sales@example.com"
	allRights      = storage.Read | storage.Flag | storage.Append | storage.Delete | storage.Send
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newHome opens a home in a temporary directory, with the agent scout who may do everything on support@.
func newHome(t testing.TB, edit func(*Limits)) *home {
	t.Helper()
	dir := t.TempDir()
	root, err := seal.CreateRootKey(filepath.Join(dir, "root.key"))
	check(t, err)
	h := &home{data: filepath.Join(dir, "data"), clock: &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, tokens: map[string]string{},
		creds: map[string]storage.Credential{}, served: make(chan error, 1)}
	store, err := storage.Open(t.Context(), storage.Config{Dir: h.data, Root: root, Now: h.clock.now})
	check(t, err)
	d := directory.New(store, directory.Options{Now: h.clock.now})
	limits := DefaultLimits()
	if edit != nil {
		edit(&limits)
	}
	server, client := testTLS(t)
	h.client = client
	h.Server = New(Config{Hostname: "mx.example.com", TLS: server, Limits: limits, Now: h.clock.now, Store: store, Directory: d, Judge: clean})
	h.inbound = delivery.NewInbound(store, d, delivery.Options{Hostname: "mx.example.com", Judge: clean, Now: h.clock.now})
	h.furnish(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	h.addr = ln.Addr().String()
	go func() { h.served <- h.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		check(t, h.Shutdown(ctx))
		if err := <-h.served; err != ErrServerClosed {
			t.Error(err)
		}
		check(t, store.Abandon())
	})
	return h
}

func (h *home) furnish(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	var err error
	if h.org, err = h.directory.Organization(ctx); err != nil {
		h.org, err = h.directory.CreateOrganization(ctx, storage.System, "Example")
	}
	check(t, err)
	_, _, err = h.directory.AddDomain(ctx, storage.System, h.org.ID, "example.com", directory.AssumeOwned{Reason: "test"})
	check(t, err)
	h.support, err = h.directory.CreateInbox(ctx, storage.System, h.org.ID, supportAddress, storage.Live)
	check(t, err)
	h.sales, err = h.directory.CreateInbox(ctx, storage.System, h.org.ID, salesAddress, storage.Live)
	check(t, err)
	h.agent(t, "scout", allRights)
}

// agent makes an agent with a credential for support@.
func (h *home) agent(t testing.TB, name string, verbs storage.Verbs) {
	t.Helper()
	a, err := h.directory.CreateAgent(t.Context(), storage.System, h.org.ID, name, "owner@example.com", "tests")
	check(t, err)
	h.creds[name], h.tokens[name], err = h.directory.CreateCredential(t.Context(), storage.System, h.org.ID, directory.CredentialSpec{
		Agent: a.ID, Scopes: []storage.Scope{{Inbox: h.support.ID, Verbs: verbs}},
	})
	check(t, err)
}

// door opens the inbox of support@ as the server would.
func (h *home) door(t testing.TB) *storage.Inbox {
	t.Helper()
	in, err := h.store.OpenInbox(t.Context(), h.org.ID, h.support.ID)
	check(t, err)
	return in
}

// stage puts a message into the store.
func (h *home) stage(t testing.TB, text []byte) *storage.Stage {
	t.Helper()
	g := h.store.Stage()
	_, err := g.Write(text)
	check(t, err)
	check(t, g.Finish())
	return g
}

// deliver brings a message from outside to support@.
func (h *home) deliver(t testing.TB, text []byte) {
	t.Helper()
	g := h.stage(t, text)
	defer g.Discard()
	from, err := message.ParsePath("<alice@example.net>", false)
	check(t, err)
	to, err := message.ParsePath("<"+supportAddress+">", false)
	check(t, err)
	_, err = h.inbound.Deliver(t.Context(), delivery.Received{
		Actor: audit.Actor{Kind: audit.Stranger}, Door: "mx", From: from,
		To: []delivery.Recipient{{Path: to, Inbox: h.support}}, Stage: g,
	})
	check(t, err)
}

// deposit stores messages in a mailbox as they are, all in one transaction. Each text is stored with its view equal to it.
func (h *home) deposit(t testing.TB, role storage.Role, flags storage.Flags, texts ...[]byte) {
	t.Helper()
	in := h.door(t)
	box, err := in.MailboxByRole(t.Context(), role)
	check(t, err)
	stages := make([]*storage.Stage, len(texts))
	for i, text := range texts {
		stages[i] = h.stage(t, text)
		defer stages[i].Discard()
	}
	check(t, h.store.Write(t.Context(), storage.System, func(tx *storage.Tx) error {
		for i, g := range stages {
			body, err := tx.AddBody(g)
			if err != nil {
				return err
			}
			e := tx.Record(audit.Event{Verb: audit.MessageReceived, Outcome: audit.OK})
			_, err = tx.Deposit(e, in, box.ID, storage.Deposit{
				ID: storage.NewID(), Flags: flags, Size: g.Size(),
				Content: storage.Content{
					Body: body, Structure: message.Parse(bytesAt(texts[i]), g.Size()).AppendBinary(nil),
					Overlay: message.Overlay{}.AppendBinary(nil), SHA256: g.SHA256(), Origin: storage.OriginMX, Verdict: storage.Clean,
				},
			})
			if err != nil {
				return err
			}
		}
		return nil
	}))
}

// clean judges for tests that are about something else.
func clean(context.Context, delivery.Judged) (delivery.Judgement, error) {
	return delivery.Judging(&storage.Scoring{Verdict: storage.Clean, Model: "test"}), nil
}

type bytesAt []byte

func (b bytesAt) ReadAt(p []byte, off int64) (int, error) {
	return strings.NewReader(string(b)).ReadAt(p, off)
}

// events returns the events of a verb, with what was waiting.
func (h *home) events(t testing.TB, verb audit.Verb) []audit.Event {
	t.Helper()
	check(t, h.directory.Flush(t.Context()))
	events, err := h.store.Events(t.Context(), storage.EventQuery{Verbs: []audit.Verb{verb}})
	check(t, err)
	return events
}

// textLog logs into b.
func textLog(b io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

// A client speaks to a home.
type client struct {
	t    testing.TB
	conn *tls.Conn
	r    *bufio.Reader
	tags int
}

// dial connects and hears the greeting.
func (h *home) dial(t testing.TB) *client {
	t.Helper()
	conn, err := tls.Dial("tcp", h.addr, h.client)
	check(t, err)
	t.Cleanup(func() { conn.Close() })
	c := &client{t: t, conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}
	conn.SetDeadline(time.Now().Add(60 * time.Second))
	if got := c.line(); !strings.HasPrefix(got, "* OK ") {
		t.Fatal(got)
	}
	return c
}

// login connects as an agent.
func (h *home) login(t testing.TB, agent string) *client {
	t.Helper()
	c := h.dial(t)
	c.ok("LOGIN " + supportAddress + " " + h.tokens[agent])
	return c
}

// line reads a line without its end.
func (c *client) line() string {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatalf("%q, %v", line, err)
	}
	return strings.TrimSuffix(line, "\r\n")
}

func (c *client) write(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// do runs a command and returns its untagged lines and its tagged reply without the tag. Literals are lines like others.
func (c *client) do(command string) (untagged []string, reply string) {
	c.t.Helper()
	c.tags++
	tag := fmt.Sprintf("t%d", c.tags)
	c.write(tag + " " + command + "\r\n")
	for {
		line := c.line()
		if reply, ok := strings.CutPrefix(line, tag+" "); ok {
			return untagged, reply
		}
		untagged = append(untagged, line)
	}
}

// ok runs a command that must succeed.
func (c *client) ok(command string) []string {
	c.t.Helper()
	untagged, reply := c.do(command)
	if !strings.HasPrefix(reply, "OK ") {
		c.t.Fatalf("%.80s: %s", command, reply)
	}
	return untagged
}
