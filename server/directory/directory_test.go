package directory_test

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/server/directory"
	"postern/storage"
	"postern/storage/audit"
	"postern/storage/seal"
)

// world is a directory over a store of its own, with a clock to advance.
type world struct {
	t     testing.TB
	store *storage.Store
	dir   *directory.Directory
	org   uuid.UUID
	data  string

	mu  sync.Mutex
	now time.Time
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

func newWorld(t testing.TB) *world {
	t.Helper()
	home := t.TempDir()
	root, err := seal.CreateRootKey(filepath.Join(home, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	w.data = filepath.Join(home, "data")
	w.store, err = storage.Open(t.Context(), storage.Config{Dir: w.data, Root: root, Now: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	w.dir = directory.New(w.store, directory.Options{Now: w.clock})
	org, err := w.dir.Organization(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.org = org.ID
	return w
}

// domain adds a domain without keys, which take their time.
func (w *world) domain(org uuid.UUID, name string) storage.Domain {
	w.t.Helper()
	var d storage.Domain
	w.must(w.store.Write(context.Background(), storage.System, func(tx *storage.Tx) error {
		d = storage.Domain{Head: storage.Head{Org: org}, Name: name}
		return tx.CreateDomain(tx.Record(audit.Event{Verb: audit.DomainAdd}), &d)
	}))
	return d
}

func (w *world) inbox(address string, env storage.Environment) storage.InboxRecord {
	w.t.Helper()
	in, err := w.dir.CreateInbox(context.Background(), admin, w.org, address, env)
	w.must(err)
	return in
}

func (w *world) agent(name string) storage.Agent {
	w.t.Helper()
	a, err := w.dir.CreateAgent(context.Background(), admin, w.org, name, "ada@example.com", "to test")
	w.must(err)
	return a
}

func (w *world) credential(a storage.Agent, spec directory.CredentialSpec) (storage.Credential, string) {
	w.t.Helper()
	spec.Agent = a.ID
	c, secret, err := w.dir.CreateCredential(context.Background(), admin, w.org, spec)
	w.must(err)
	return c, secret
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// events returns the newest events of a verb, oldest first.
func (w *world) events(v audit.Verb) []audit.Event {
	w.t.Helper()
	all, err := w.store.Events(context.Background(), storage.EventQuery{Limit: 1000})
	w.must(err)
	var some []audit.Event
	for _, e := range all {
		if e.Verb == v {
			some = append(some, e)
		}
	}
	return some
}

func (w *world) login(login, secret, from string) (*directory.Principal, error) {
	return w.dir.Authenticate(context.Background(), directory.Attempt{
		Login: login, Secret: secret, Remote: netip.MustParseAddr(from), Door: "imap", TLS: "TLS1.3", Mechanism: "PLAIN"})
}

var admin = audit.Actor{Kind: audit.Unix, Name: "root"}

const (
	home = "192.0.2.10"
	away = "198.51.100.7"
)

// one is a world with one agent that reads and sends from one inbox.
func one(t testing.TB) (w *world, in storage.InboxRecord, a storage.Agent, c storage.Credential, secret string) {
	w = newWorld(t)
	w.domain(w.org, "example.com")
	in = w.inbox("support@example.com", storage.Live)
	a = w.agent("scout")
	c, secret = w.credential(a, directory.CredentialSpec{Scopes: []storage.Scope{{Inbox: in.ID, Verbs: storage.Read | storage.Send}}})
	return w, in, a, c, secret
}

func TestLoginNames(t *testing.T) {
	w, in, a, c, secret := one(t)
	for _, login := range []string{"support@example.com", "Support@EXAMPLE.com", "scout", "Scout"} {
		p, err := w.login(login, secret, home)
		if err != nil {
			t.Errorf("login as %q: %v", login, err)
			continue
		}
		if p.Inbox.ID() != in.ID || p.Agent.ID != a.ID || p.Credential.ID != c.ID {
			t.Errorf("login as %q: wrong principal", login)
		}
		if !p.May(storage.Read) || !p.May(storage.Read|storage.Send) || p.May(storage.Delete) || p.May(storage.Read|storage.Append) {
			t.Errorf("AC-4: login as %q may what its scope does not say", login)
		}
	}
	events := w.events(audit.SessionLogin)
	if len(events) != 4 {
		t.Fatalf("%d events session.login, want 4", len(events))
	}
	e := events[0]
	if e.Actor.Kind != audit.Agent || e.Actor.ID != a.ID || e.Actor.Credential != c.ID || e.Actor.Session == uuid.Nil ||
		e.Actor.Network != netip.MustParseAddr(home) || e.Inbox != in.ID || e.Fields.Text(audit.KeyDoor) != "imap" {
		t.Errorf("AU-1: login event lacks something: %+v", e)
	}
}

// TestAC5_ForeignInboxLooksLikeNone logs in to an inbox that exists and is not
// allowed, to one that does not exist, and to nonsense.
func TestAC5_ForeignInboxLooksLikeNone(t *testing.T) {
	w, _, _, _, secret := one(t)
	w.inbox("boss@example.com", storage.Live)
	var texts []string
	for _, login := range []string{"boss@example.com", "nobody@example.com", "x@elsewhere.test", "no address", "other-agent", ""} {
		_, err := w.login(login, secret, home)
		var refused *directory.AuthError
		if !errors.As(err, &refused) || !errors.Is(err, directory.ErrCredentials) {
			t.Fatalf("login as %q: %v", login, err)
		}
		texts = append(texts, strings.ReplaceAll(refused.Public(), refused.Trace, ""))
	}
	for _, text := range texts {
		if text != texts[0] {
			t.Errorf("texts differ: %q and %q", texts[0], text)
		}
	}
	if got := w.events(audit.SessionRefused); len(got) != 6 || got[0].Fields.Text(audit.KeyRule) != "inbox" || got[0].Fields.Text(audit.KeyTrace) == "" {
		t.Errorf("AU-13: %d events of refused credentials, want 6 with rule and trace", len(got))
	}
}

func TestSeveralInboxesAreNamedByAddress(t *testing.T) {
	w, in, a, _, _ := one(t)
	second := w.inbox("sales@example.com", storage.Live)
	_, secret := w.credential(a, directory.CredentialSpec{Scopes: []storage.Scope{{Inbox: in.ID, Verbs: storage.Read}, {Inbox: second.ID, Verbs: storage.Send}}})
	p, err := w.login("sales@example.com", secret, home)
	w.must(err)
	if p.Inbox.ID() != second.ID || p.May(storage.Read) || !p.May(storage.Send) {
		t.Error("AC-4: the login must have the verbs of the inbox that it named")
	}
	if _, err := w.login("scout", secret, home); !errors.Is(err, directory.ErrCredentials) {
		t.Errorf("the agent's name names no inbox of several: %v", err)
	}
}

func TestAC7_CredentialsEnd(t *testing.T) {
	w, _, _, c, secret := one(t)
	if left := c.Expires.Sub(w.clock()); left > directory.DefaultMaxAge || left < directory.DefaultMaxAge-time.Hour {
		t.Errorf("a credential ends after %v by default, want 90 days", left)
	}
	w.advance(c.Expires.Sub(w.clock()) - time.Hour)
	p, err := w.login("scout", secret, home)
	w.must(err)
	cut := make(chan string, 1)
	w.dir.Register(p, func(reason string) { cut <- reason })

	w.advance(c.Expires.Sub(w.clock()) - time.Second)
	if n := w.dir.Expire(); n != 0 {
		t.Fatalf("%d sessions ended before their time", n)
	}
	w.advance(2 * time.Second)
	if n := w.dir.Expire(); n != 1 || <-cut != "expired" {
		t.Errorf("invariant 8: %d sessions ended, want 1", n)
	}
	if err := w.dir.Check(p); !errors.Is(err, directory.ErrExpired) {
		t.Errorf("check of an expired session: %v", err)
	}
	if _, err := w.login("scout", secret, home); !errors.Is(err, directory.ErrExpired) {
		t.Errorf("login with an expired credential: %v", err)
	}
	// Who is wrong in another way does not learn that it expired.
	if _, err := w.login("boss@example.com", secret, home); !errors.Is(err, directory.ErrCredentials) {
		t.Errorf("login to another inbox with an expired credential: %v", err)
	}
	if _, _, err := w.dir.CreateCredential(t.Context(), admin, w.org, directory.CredentialSpec{
		Agent: p.Agent.ID, Scopes: c.Scopes, Expires: w.clock().Add(directory.DefaultMaxAge + time.Hour)}); !errors.Is(err, directory.ErrRefused) {
		t.Errorf("a credential beyond the maximum age: %v", err)
	}
	if _, _, err := w.dir.CreateCredential(t.Context(), admin, w.org, directory.CredentialSpec{
		Agent: p.Agent.ID, Scopes: c.Scopes, Expires: w.clock().Add(-time.Hour)}); !errors.Is(err, directory.ErrInvalid) {
		t.Errorf("a credential that ended before it began: %v", err)
	}
}

func TestAC9_RevocationCutsLiveSessions(t *testing.T) {
	w, _, _, c, secret := one(t)
	p, err := w.login("scout", secret, home)
	w.must(err)
	cut := make(chan string, 1)
	w.dir.Register(p, func(reason string) { cut <- reason })
	other, err := w.login("scout", secret, home) // between login and registration
	w.must(err)
	if n := len(w.dir.Sessions()); n != 2 {
		t.Fatalf("%d live sessions, want 2", n)
	}

	n, err := w.dir.RevokeCredential(t.Context(), admin, w.org, c.ID, "leaked")
	w.must(err)
	if n != 2 || <-cut != "revoked" {
		t.Errorf("%d sessions cut, want 2", n)
	}
	late := make(chan string, 1)
	w.dir.Register(other, func(reason string) { late <- reason })
	if reason := <-late; reason != "revoked" {
		t.Errorf("a session that registers after the revocation is cut with %q", reason)
	}
	if err := w.dir.Check(p); !errors.Is(err, directory.ErrCredentials) {
		t.Errorf("check of a revoked session: %v", err)
	}
	if _, err := w.login("scout", secret, home); !errors.Is(err, directory.ErrCredentials) {
		t.Errorf("login with a revoked credential: %v", err)
	}
	events := w.events(audit.CredentialRevoke)
	if len(events) != 1 || events[0].Personal.Text(audit.KeyNote) != "leaked" || events[0].Actor.Name != "root" ||
		!strings.Contains(events[0].Personal.Text(audit.KeyAfter), "revoked=") || strings.Contains(events[0].Personal.Text(audit.KeyBefore), "revoked=") {
		t.Errorf("AC-2: event of the revocation: %+v", events)
	}
	if _, err := w.dir.RevokeCredential(t.Context(), admin, w.org, c.ID, "again"); !errors.Is(err, directory.ErrState) {
		t.Errorf("second revocation: %v", err)
	}
}

func TestAC9_AgentsStopAndResume(t *testing.T) {
	w, _, a, c, secret := one(t)
	_, err := w.login("scout", secret, home)
	w.must(err)
	cut, err := w.dir.SuspendAgent(t.Context(), admin, w.org, a.ID, "odd hours")
	w.must(err)
	if cut != 1 {
		t.Errorf("%d sessions cut, want 1", cut)
	}
	if _, err := w.login("scout", secret, home); !errors.Is(err, directory.ErrCredentials) {
		t.Errorf("login of a suspended agent: %v", err)
	}
	w.must(w.dir.ResumeAgent(t.Context(), admin, w.org, a.ID, "explained"))
	if _, err := w.login("scout", secret, home); err != nil {
		t.Errorf("login of a resumed agent: %v", err)
	}
	if _, err := w.dir.DecommissionAgent(t.Context(), admin, w.org, a.ID, "done"); err != nil {
		t.Fatal(err)
	}
	got, err := w.dir.Credential(t.Context(), w.org, c.PublicID)
	w.must(err)
	if got.Revoked.IsZero() {
		t.Error("a decommissioned agent has a credential that is not revoked")
	}
	if err := w.dir.ResumeAgent(t.Context(), admin, w.org, a.ID, ""); !errors.Is(err, directory.ErrState) {
		t.Errorf("a decommissioned agent resumed: %v", err)
	}
}

// TestAC12_GuessingIsSlowedByNetwork attacks from one network; the agent logs in
// from another, and from the same, for its token is no guess.
func TestAC12_GuessingIsSlowedByNetwork(t *testing.T) {
	w, _, _, _, secret := one(t)
	_, err := w.login("scout", secret, home)
	w.must(err)
	guess := func(from string) error {
		_, err := w.login("scout", directory.NewToken(storage.Live).Secret(), from)
		return err
	}
	for i := 0; ; i++ {
		err := guess("192.0.2.66")
		if errors.Is(err, directory.ErrTooManyFailures) {
			break
		}
		if i > 100 || !errors.Is(err, directory.ErrCredentials) {
			t.Fatalf("guess %d: %v", i, err)
		}
	}
	if err := guess("192.0.2.200"); !errors.Is(err, directory.ErrTooManyFailures) {
		t.Errorf("a neighbour in the /24: %v", err)
	}
	if err := guess(away); !errors.Is(err, directory.ErrCredentials) {
		t.Errorf("another network: %v", err)
	}
	if _, err := w.login("scout", secret, away); err != nil {
		t.Errorf("the agent from another network: %v", err)
	}
	if _, err := w.login("scout", secret, home); err != nil {
		t.Errorf("the agent from the attacked network, known from before: %v", err)
	}
	w.advance(time.Hour)
	if err := guess("192.0.2.66"); !errors.Is(err, directory.ErrCredentials) {
		t.Errorf("after an hour of quiet: %v", err)
	}
	// A typing error costs nothing: the checksum tells it from a guess.
	for range 100 {
		if _, err := w.login("scout", "pst_live_"+strings.Repeat("x", 38), "203.0.113.9"); !errors.Is(err, directory.ErrCredentials) {
			t.Fatal(err)
		}
	}
	if err := guess("203.0.113.9"); !errors.Is(err, directory.ErrCredentials) {
		t.Errorf("a guess after typing errors: %v", err)
	}
}

func TestAU13_StrangersAreAggregated(t *testing.T) {
	w, _, _, _, _ := one(t)
	for range 500 {
		w.login("scout", "wrong", home)
	}
	w.must(w.dir.Flush(t.Context()))
	events := w.events(audit.StrangersRefused)
	if len(events) != 1 {
		t.Fatalf("%d events for 500 refusals of one network", len(events))
	}
	n, _ := events[0].Fields.Int(audit.KeyCount)
	if n != 500 || events[0].Personal.Text(audit.KeyNetwork) != "192.0.2.0/24" || events[0].Actor.Kind != audit.Stranger {
		t.Errorf("aggregate: %+v", events[0])
	}
}

func TestAC13_Networks(t *testing.T) {
	w, in, a, _, _ := one(t)
	_, secret := w.credential(a, directory.CredentialSpec{
		Scopes:   []storage.Scope{{Inbox: in.ID, Verbs: storage.Read}},
		Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}})
	for from, ok := range map[string]bool{home: true, "::ffff:192.0.2.1": true, "2001:db8::1": true, away: false, "2001:db9::1": false} {
		_, err := w.login("scout", secret, from)
		if ok != (err == nil) || err != nil && !errors.Is(err, directory.ErrCredentials) {
			t.Errorf("login from %s: %v", from, err)
		}
	}
}

func TestAC14_EnvironmentsStayApart(t *testing.T) {
	w, in, a, _, _ := one(t)
	test := w.inbox("test@example.com", storage.Test)
	_, _, err := w.dir.CreateCredential(t.Context(), admin, w.org, directory.CredentialSpec{
		Agent: a.ID, Env: storage.Test, Scopes: []storage.Scope{{Inbox: in.ID, Verbs: storage.Read}}})
	if !errors.Is(err, directory.ErrRefused) {
		t.Errorf("a test credential for a live inbox: %v", err)
	}
	c, secret := w.credential(a, directory.CredentialSpec{Env: storage.Test, Scopes: []storage.Scope{{Inbox: test.ID, Verbs: storage.Read}}})
	if !strings.HasPrefix(secret, "pst_test_") || c.Env != storage.Test {
		t.Errorf("secret %q of environment %s", secret[:9], c.Env)
	}
}

func TestAC19_OrganizationsStayApart(t *testing.T) {
	w, in, a, c, _ := one(t)
	other, err := w.dir.CreateOrganization(t.Context(), admin, "other")
	w.must(err)
	ctx := t.Context()
	if _, err := w.dir.Agent(ctx, other.ID, "scout"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("agent by name: %v", err)
	}
	if _, err := w.dir.Agent(ctx, other.ID, a.ID.String()); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("agent by id: %v", err)
	}
	if _, err := w.dir.Inbox(ctx, other.ID, in.Address); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("inbox: %v", err)
	}
	if _, err := w.dir.Domain(ctx, other.ID, "example.com"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("domain: %v", err)
	}
	if _, err := w.dir.Credential(ctx, other.ID, c.PublicID); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("credential: %v", err)
	}
	if _, err := w.dir.RevokeCredential(ctx, admin, other.ID, c.ID, ""); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("revocation: %v", err)
	}
	if _, err := w.dir.CreateInbox(ctx, admin, other.ID, "x@example.com", storage.Live); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("inbox in a foreign domain: %v", err)
	}
	if _, _, err := w.dir.CreateCredential(ctx, admin, other.ID, directory.CredentialSpec{Agent: a.ID, Scopes: c.Scopes}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("credential for a foreign agent: %v", err)
	}
}

func TestSessionEndIsRecorded(t *testing.T) {
	w, in, _, c, secret := one(t)
	p, err := w.login("scout", secret, home)
	w.must(err)
	p.Count.Add(3)
	w.advance(time.Minute)
	w.dir.End(p, "logout")
	w.must(w.dir.Flush(t.Context()))
	events := w.events(audit.SessionEnd)
	if len(events) != 1 {
		t.Fatalf("%d events session.end", len(events))
	}
	count, _ := events[0].Fields.Int(audit.KeyCount)
	if e := events[0]; e.Actor.Session != p.Session || e.Inbox != in.ID || e.Fields.Text(audit.KeyRule) != "logout" || count != 3 {
		t.Errorf("session.end: %+v", e)
	}
	if n := len(w.dir.Sessions()); n != 0 {
		t.Errorf("%d live sessions after the end", n)
	}
	creds, err := w.dir.Credentials(t.Context(), w.org, c.Agent)
	w.must(err)
	if creds[0].LastUsed != p.Since {
		t.Errorf("last used %v, want %v", creds[0].LastUsed, p.Since)
	}
}

// TestRunWritesWhatIsLeft stops Run at once: what waits is in the log after it.
func TestRunWritesWhatIsLeft(t *testing.T) {
	w, _, _, _, secret := one(t)
	p, err := w.login("scout", secret, home)
	w.must(err)
	w.dir.End(p, "closed")
	ctx, stop := context.WithCancel(t.Context())
	stop()
	w.dir.Run(ctx)
	if n := len(w.events(audit.SessionEnd)); n != 1 {
		t.Errorf("%d events session.end, want 1", n)
	}
}

func TestAC6_SecretIsNotStored(t *testing.T) {
	w, _, _, c, secret := one(t)
	token, err := directory.ParseToken(secret)
	w.must(err)
	if token.PublicID() != c.PublicID || strings.Contains(token.String(), secret[20:]) {
		t.Error("a token shows more than its public id")
	}
	// The hash is not the token's: the index key is in it.
	if string(c.TokenHash) == secret || len(c.TokenHash) != 32 {
		t.Error("the stored form is not a keyed hash")
	}
	// A login name that is a token does not reach the log.
	w.login(secret, secret, home)
	for _, e := range w.events(audit.SessionRefused) {
		if strings.Contains(e.Personal.Text(audit.KeyAddress), secret) {
			t.Error("the log has a secret")
		}
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	w, _, _, _, secret := one(b)
	b.Run("1", func(b *testing.B) {
		for b.Loop() {
			p, err := w.login("support@example.com", secret, home)
			if err != nil {
				b.Fatal(err)
			}
			w.dir.End(p, "closed")
		}
	})
	b.Run("16", func(b *testing.B) {
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				p, err := w.login("support@example.com", secret, home)
				if err != nil {
					b.Error(err)
					return
				}
				w.dir.End(p, "closed")
			}
		})
	})
}
