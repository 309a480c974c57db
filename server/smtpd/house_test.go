package smtpd

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"postern/server/delivery"
	"postern/server/directory"
	"postern/server/message"
	"postern/server/submission"
	"postern/storage"
	"postern/storage/audit"
	"postern/storage/seal"
)

// house is a server on loopback with all that is behind it: a real store, one domain, the inboxes support@ and sales@,
// and an agent who may send from support@.
type house struct {
	*Server
	clock *clock
	org   storage.Organization
	cred  storage.Credential
	token string
	addrs map[string]string // by door
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

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

const (
	hostname = "mx.example.com"
	support  = "support@example.com"
	sales    = "sales@example.com"
)

// newHouse opens a house in a temporary directory. edit may lower limits; the disk's reserve is in bytes.
func newHouse(t testing.TB, reserve int64, edit func(*Limits)) *house {
	t.Helper()
	home := t.TempDir()
	root, err := seal.CreateRootKey(filepath.Join(home, "root.key"))
	check(t, err)
	h := &house{clock: &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, addrs: map[string]string{}}
	store, err := storage.Open(t.Context(), storage.Config{Dir: filepath.Join(home, "data"), Root: root, Now: h.clock.now, Reserve: reserve})
	check(t, err)
	dir := directory.New(store, directory.Options{Now: h.clock.now})
	h.furnish(t, dir)

	limits := DefaultLimits()
	limits.Greeting = 0 // tests connect often; those of early talkers set it
	if edit != nil {
		edit(&limits)
	}
	h.Server = New(Config{
		Hostname: hostname, TLS: &tls.Config{GetCertificate: certificate(t)}, Limits: limits, Now: h.clock.now,
		Store: store, Directory: dir,
		Inbound:  delivery.NewInbound(store, dir, delivery.Options{Hostname: hostname, Now: h.clock.now}),
		Outbound: submission.NewOutbound(store, dir, submission.Options{Hostname: hostname, Now: h.clock.now}),
	})
	h.listen(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		h.Shutdown(ctx)
		check(t, store.Abandon())
	})
	return h
}

func (h *house) furnish(t testing.TB, dir *directory.Directory) {
	t.Helper()
	ctx := t.Context()
	var err error
	h.org, err = dir.Organization(ctx)
	if err != nil {
		h.org, err = dir.CreateOrganization(ctx, storage.System, "Example")
	}
	check(t, err)
	_, _, err = dir.AddDomain(ctx, storage.System, h.org.ID, "example.com", directory.AssumeOwned{Reason: "test"})
	check(t, err)
	in, err := dir.CreateInbox(ctx, storage.System, h.org.ID, support, storage.Live)
	check(t, err)
	_, err = dir.CreateInbox(ctx, storage.System, h.org.ID, sales, storage.Live)
	check(t, err)
	agent, err := dir.CreateAgent(ctx, storage.System, h.org.ID, "scout", "owner@example.com", "tests")
	check(t, err)
	h.cred, h.token, err = dir.CreateCredential(ctx, storage.System, h.org.ID, directory.CredentialSpec{
		Agent: agent.ID, Scopes: []storage.Scope{{Inbox: in.ID, Verbs: storage.Read | storage.Send}},
	})
	check(t, err)
}

func (h *house) listen(t testing.TB) {
	t.Helper()
	for door, serve := range map[string]func(net.Listener) error{"mx": h.ServeMX, "submission": h.ServeSubmission, "submissions": h.ServeSubmissions} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		check(t, err)
		h.addrs[door] = l.Addr().String()
		go serve(l)
	}
}

// stored returns the messages of an inbox as they came, and the header blocks that delivery put in front.
func (h *house) stored(t testing.TB, address string, role storage.Role) (messages, blocks []string) {
	t.Helper()
	ctx := t.Context()
	record, err := h.store.InboxByAddress(ctx, address)
	check(t, err)
	in, err := h.store.OpenInbox(ctx, record.Org, record.ID)
	check(t, err)
	box, err := in.MailboxByRole(ctx, role)
	check(t, err)
	err = in.Scan(ctx, box.ID, []storage.UIDRange{{First: 1, Last: 1<<32 - 1}}, true, func(m *storage.Message) error {
		b, err := in.OpenBody(ctx, m)
		if err != nil {
			return err
		}
		defer b.Close()
		all, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
		if err != nil {
			return err
		}
		overlay, err := message.DecodeOverlay(m.Content.Overlay)
		messages, blocks = append(messages, string(all)), append(blocks, string(overlay.Prefix))
		return err
	})
	check(t, err)
	return messages, blocks
}

// events counts the events of a verb, with what was waiting.
func (h *house) events(t testing.TB, verb string) []audit.Event {
	t.Helper()
	check(t, h.directory.Flush(t.Context()))
	v, ok := audit.ParseVerb(verb)
	if !ok {
		t.Fatalf("no verb %q", verb)
	}
	events, err := h.store.Events(t.Context(), storage.EventQuery{Verbs: []audit.Verb{v}})
	check(t, err)
	return events
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func certificate(t testing.TB) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{hostname}, NotAfter: time.Now().Add(time.Hour),
	}, &x509.Certificate{SerialNumber: big.NewInt(1)}, key.Public(), key)
	check(t, err)
	cert := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert, nil }
}
