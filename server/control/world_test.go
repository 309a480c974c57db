package control

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/netip"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/dns/zone"
	"postern/server/acme"
	"postern/server/delivery"
	"postern/server/directory"
	"postern/server/message"
	"postern/server/queue"
	"postern/server/setup"
	"postern/server/submission"
	"postern/server/webhook"
	"postern/storage"
	"postern/storage/audit"
	"postern/storage/seal"
)

// world is a server at a socket of its own, and a client.
type world struct {
	*Client
	t      testing.TB
	store  *storage.Store
	dir    *directory.Directory
	out    *submission.Outbound
	server *Server
	path   string

	mu  sync.Mutex
	now time.Time
}

func newWorld(t testing.TB) *world {
	t.Helper()
	home := t.TempDir()
	root, err := seal.CreateRootKey(filepath.Join(home, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), path: filepath.Join(home, "c.sock")}
	w.store, err = storage.Open(t.Context(), storage.Config{Dir: filepath.Join(home, "data"), Root: root, Now: w.clock})
	w.must(err)
	t.Cleanup(func() { w.store.Close() })
	w.dir = directory.New(w.store, directory.Options{Now: w.clock, Names: directory.Names{Facts: w.facts}})
	in := delivery.NewInbound(w.store, w.dir, delivery.Options{Hostname: "mail.example.com", Now: w.clock})
	// Both lanes end here, and none of them runs: rows stay where they are.
	q := queue.New(w.store, queue.Options{Hostname: "mail.example.com", Remote: delivery.NewLocal(in), Local: delivery.NewLocal(in),
		Report: in.Report, Now: w.clock})
	w.out = submission.NewOutbound(w.store, w.dir, submission.Options{Hostname: "mail.example.com", Now: w.clock})
	w.server = New(Config{Store: w.store, Directory: w.dir, Queue: q, Scorer: delivery.NewScorer(nil, nil), Quarantine: delivery.NewQuarantine(w.store), Webhooks: webhook.NewSender(w.store, webhook.Options{Now: w.clock}),
		Certificates: w.certificates(), TellOwners: w.tellOwners, Setup: setup.New(w.store, w.dir, setup.Options{Host: "mail.example.com", Now: w.clock}), Host: "mail.example.com", Alive: w.store.Writable, Takes: w.store.Writable, Version: "1.2.3", Now: w.clock})
	w.serve(w.server)
	w.Client = NewClient(w.path)
	t.Cleanup(w.Client.Close)
	return w
}

// tellOwners tells nobody: there is no way out of here.
func (w *world) tellOwners(context.Context, *storage.Glass) (Letters, error) {
	return Letters{Store: func(*storage.Tx) error { return nil }, Discard: func() {}}, nil
}

// certificates are of files that hold for ever.
func (w *world) certificates() *acme.Keeper {
	w.t.Helper()
	own := &tls.Certificate{Leaf: &x509.Certificate{DNSNames: []string{"mail.example.com"}, NotAfter: w.now.AddDate(100, 0, 0)}}
	m, err := acme.New(w.t.Context(), w.store, acme.Options{Host: "mail.example.com", Own: func() *tls.Certificate { return own }, Now: w.clock})
	w.must(err)
	w.t.Cleanup(m.Close)
	return m
}

// facts are what the plan of a domain follows from.
func (w *world) facts(ctx context.Context, d storage.Domain) (zone.Facts, error) {
	f := zone.Facts{Domain: d.Name, Host: "mail.example.com", MTASTS: "none"}
	keys, err := w.store.DKIMKeys(ctx, d.ID)
	for _, k := range keys {
		f.Keys = append(f.Keys, zone.Key{Selector: k.Selector, Record: k.Record})
	}
	return f, err
}

// person is a client in the session of a person with these roles, who was made
// behind the door: with a second factor, for as long as a test takes.
func (w *world) person(address string, roles ...storage.PersonRole) *Client {
	w.t.Helper()
	return w.As(w.session(address, true, roles...))
}

func (w *world) session(address string, factor bool, roles ...storage.PersonRole) (token string) {
	w.t.Helper()
	org, err := w.dir.Organization(w.t.Context())
	w.must(err)
	p := storage.Person{Head: storage.Head{Org: org.ID}, Address: address, Roles: roles}
	w.must(w.store.Write(w.t.Context(), storage.System, func(tx *storage.Tx) error {
		return tx.CreatePerson(tx.Record(audit.Event{Verb: audit.PersonCreate}), &p)
	}))
	_, token, err = w.dir.StartSession(w.t.Context(), storage.System, p, directory.SessionSpec{Door: "control", Factor: factor, Length: 1e4 * time.Hour, Idle: -1, Fresh: 1e4 * time.Hour})
	w.must(err)
	return token
}

func (w *world) serve(s *Server) {
	w.t.Helper()
	l, err := Listen(w.path)
	w.must(err)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	w.t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			w.t.Error(err)
		}
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(time.Microsecond)
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// staff adds a domain, an inbox, an agent and a credential that may do all.
func (w *world) staff() Issued {
	w.t.Helper()
	ctx := w.t.Context()
	_, err := w.AddDomain(ctx, DomainAdd{Name: "example.com", AssumeOwned: "a test"})
	w.must(err)
	_, err = w.CreateInbox(ctx, InboxCreate{Address: "scout@example.com"})
	w.must(err)
	_, err = w.CreateAgent(ctx, AgentCreate{Name: "scout", Owner: "ann@example.org"})
	w.must(err)
	c, err := w.CreateCredential(ctx, CredentialCreate{Agent: "scout", Scopes: []Scope{{"scout@example.com", "read,flag,append,delete,send"}}})
	w.must(err)
	return c
}

// submit sends a message as the agent does.
func (w *world) submit(c Issued, text string, to ...string) {
	w.t.Helper()
	p, err := w.dir.Authenticate(w.t.Context(), directory.Attempt{Login: "scout@example.com", Secret: c.Secret,
		Remote: netip.MustParseAddr("192.0.2.7"), Door: "submissions", TLS: "TLS1.3", Mechanism: "PLAIN"})
	w.must(err)
	stage := w.store.Stage()
	defer stage.Discard()
	_, err = stage.Write([]byte(strings.ReplaceAll(text, "\n", "\r\n")))
	w.must(err)
	w.must(stage.Finish())
	s := submission.Submitted{Principal: p, Stage: stage, With: "ESMTPSA", TLS: "TLS1.3", HELO: "agent"}
	s.From, err = message.ParseAddress("scout@example.com")
	w.must(err)
	for _, address := range to {
		path, err := message.ParseAddress(address)
		w.must(err)
		s.To = append(s.To, path)
	}
	_, err = w.out.Submit(w.t.Context(), s)
	w.must(err)
}

const letter = `From: scout@example.com
To: you@example.net
Subject: quarterly figures
Message-ID: <q3@example.com>
Agent-Trigger: type=schedule; ref="daily"

Here they are.
`

// fired are the verbs of the events that fn leaves.
func (w *world) fired(fn func()) []string {
	w.t.Helper()
	before, err := w.store.Events(w.t.Context(), storage.EventQuery{Newest: true, Limit: 1})
	w.must(err)
	var from uint64
	if len(before) > 0 {
		from = before[0].Seq + 1
	}
	fn()
	events, err := w.store.Events(w.t.Context(), storage.EventQuery{From: from})
	w.must(err)
	me, err := user.Current()
	w.must(err)
	var verbs []string
	for _, e := range events {
		if by, _ := strings.CutPrefix(e.Actor.Name, "ada@example.org as "); by != me.Username || (by == e.Actor.Name) != (e.Actor.Kind == audit.Unix) {
			w.t.Errorf("%s was done by %s %q, want the Unix user %q", e.Verb, e.Actor.Kind, e.Actor.Name, me.Username)
		}
		verbs = append(verbs, e.Verb.String())
	}
	return verbs
}

// TestAC2_ActsAreAttributed holds that each command that changes or reveals
// something leaves its event, by the Unix user at the socket,
// and by the person beside whom that user stands.
func TestAC2_ActsAreAttributed(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.must(func() error { _, err := w.Health(ctx); return err }()) // makes the organization
	ada := w.person("ada@example.org", storage.PersonAdmin)
	issued := Issued{}
	for _, step := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"domain add", func() error { _, err := w.AddDomain(ctx, DomainAdd{Name: "example.com"}); return err },
			[]string{"domain.add", "dkim.create", "dkim.create"}},
		{"domain show", func() error { _, err := w.Domain(ctx, "example.com"); return err }, nil},
		{"inbox create", func() error { _, err := w.CreateInbox(ctx, InboxCreate{Address: "a@example.com"}); return err },
			[]string{"inbox.create"}},
		{"agent create", func() error {
			_, err := w.CreateAgent(ctx, AgentCreate{Name: "a", Owner: "ann@example.org"})
			return err
		},
			[]string{"agent.create"}},
		{"credential create", func() (err error) {
			issued, err = w.CreateCredential(ctx, CredentialCreate{Agent: "a", Scopes: []Scope{{"a@example.com", "read"}}})
			return err
		}, []string{"credential.create"}},
		{"credential rotate", func() error {
			_, err := w.RotateCredential(ctx, CredentialRotate{Credential: issued.PublicID, Overlap: 3600})
			return err
		}, []string{"credential.rotate"}},
		{"freeze", func() error {
			_, err := w.Freeze(ctx, FreezeChange{Kind: storage.FreezeDomain, Name: "example.com", Reason: "odd"})
			return err
		}, []string{"freeze.set"}},
		{"freeze list", func() error { _, err := collect(w.Freezes(ctx, FreezeQuery{})); return err }, nil},
		{"unfreeze", func() error {
			_, err := ada.Unfreeze(ctx, FreezeChange{Kind: storage.FreezeDomain, Name: "example.com", Reason: "explained"})
			return err
		}, []string{"freeze.lift"}},
		{"agent suspend", func() error { _, err := w.SuspendAgent(ctx, AgentChange{Agent: "a", Reason: "odd"}); return err },
			[]string{"agent.suspend"}},
		{"agent resume", func() error { _, err := w.ResumeAgent(ctx, AgentChange{Agent: "a"}); return err }, []string{"agent.resume"}},
		{"credential revoke", func() error {
			_, err := w.RevokeCredential(ctx, CredentialRevoke{Credential: issued.PublicID, Reason: "leaked"})
			return err
		}, []string{"credential.revoke"}},
		{"agent decommission", func() error { _, err := w.DecommissionAgent(ctx, AgentChange{Agent: "a"}); return err },
			[]string{"agent.decommission", "credential.revoke"}}, // of the successor
		{"audit list", func() error { _, err := collect(w.Events(ctx, EventQuery{})); return err }, []string{"audit.listed"}},
		{"audit export", func() error { return w.Export(ctx, EventQuery{}, new(strings.Builder)) }, []string{"audit.exported"}},
		{"backup create", func() error { return w.Backup(ctx, io.Discard) }, []string{"backup.create"}},
		{"backup verified", func() error { return w.BackupVerified(ctx, storage.DrillReport{Made: w.now}) }, []string{"backup.verify"}},
		{"audit key", func() error { _, err := w.AuditKey(ctx); return err }, nil},
	} {
		var err error
		got := w.fired(func() { err = step.do() })
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if !slices.Equal(got, step.want) {
			t.Errorf("%s left %q, want %q", step.name, got, step.want)
		}
	}
}

// collect reads a list.
func collect[R any](seq func(yield func(R, error) bool)) (all []R, err error) {
	for row, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, row)
	}
	return all, nil
}

// dialSocket opens a connection for a request that no client of ours would send.
func (w *world) dialSocket() net.Conn {
	w.t.Helper()
	c, err := net.Dial("unix", w.path)
	w.must(err)
	w.t.Cleanup(func() { c.Close() })
	w.must(c.SetDeadline(time.Now().Add(10 * time.Second)))
	return c
}
