package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
	"postern/storage/seal"
)

// testStore is a store on a fresh directory with a clock that tests advance.
type testStore struct {
	*Store
	cfg   Config
	clock *testClock

	agent uuid.UUID // that enqueue queues for; zero: none
}

type testClock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(time.Microsecond)
	return c.t
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// newTestStore opens a store in a temporary directory; its root key and witness
// lie outside the data directory.
func newTestStore(t testing.TB) *testStore {
	t.Helper()
	return newTestStoreIn(t, filepath.Join(t.TempDir(), "data"))
}

func newTestStoreIn(t testing.TB, dir string) *testStore {
	t.Helper()
	home := t.TempDir()
	root, err := seal.CreateRootKey(filepath.Join(home, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	ts := &testStore{clock: &testClock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}}
	ts.cfg = Config{Dir: dir, Root: root, Witness: filepath.Join(home, "witness"), Now: ts.clock.now}
	ts.open(t)
	t.Cleanup(func() { ts.Abandon() })
	return ts
}

func (ts *testStore) open(t testing.TB) {
	t.Helper()
	s, err := Open(t.Context(), ts.cfg)
	if err != nil {
		t.Fatal(err)
	}
	ts.Store = s
}

// addOrg makes an organization, a domain and an inbox.
func (ts *testStore) addOrg(t testing.TB, domain, local string) (Organization, Domain, InboxRecord) {
	t.Helper()
	org := Organization{Name: domain}
	dom := Domain{Name: domain}
	in := InboxRecord{Address: local + "@" + domain, Env: Live}
	ts.write(t, audit.OrganizationCreate, func(tx *Tx, e *audit.Event) error { return tx.CreateOrganization(e, &org) })
	dom.Org = org.ID
	ts.write(t, audit.DomainAdd, func(tx *Tx, e *audit.Event) error { return tx.CreateDomain(e, &dom) })
	id, err := ts.NewInboxKey(t.Context(), org.ID)
	if err != nil {
		t.Fatal(err)
	}
	in.ID, in.Org, in.Domain = id, org.ID, dom.ID
	ts.write(t, audit.InboxCreate, func(tx *Tx, e *audit.Event) error { return tx.CreateInbox(e, &in) })
	return org, dom, in
}

// write runs one write with one event and fails the test when it fails. Since a
// function may run twice, it must not change versions twice: records are reset
// by what the store returned.
func (ts *testStore) write(t testing.TB, v audit.Verb, fn func(tx *Tx, e *audit.Event) error) {
	t.Helper()
	err := ts.Write(context.Background(), System, func(tx *Tx) error { return fn(tx, tx.Record(audit.Event{Verb: v})) })
	if err != nil {
		t.Fatal(err)
	}
}

func TestRecordsRoundTrip(t *testing.T) {
	ts := newTestStore(t)
	org, dom, in := ts.addOrg(t, "example.com", "support")
	agent := Agent{Head: Head{Org: org.ID}, Name: "scout", Owner: "ada@example.com"}
	ts.write(t, audit.AgentCreate, func(tx *Tx, e *audit.Event) error { return tx.CreateAgent(e, &agent) })
	cred := Credential{Head: Head{Org: org.ID}, Agent: agent.ID, PublicID: "abcdefgh", TokenHash: ts.HashToken("secret"),
		Scopes: []Scope{{in.ID, Read | Flag}}, Env: Live, Expires: ts.clock.now().Add(time.Hour)}
	ts.write(t, audit.CredentialCreate, func(tx *Tx, e *audit.Event) error { return tx.CreateCredential(e, &cred) })

	ts.Close()
	ts.open(t)
	ctx := t.Context()
	if got, err := ts.DomainByName(ctx, "example.com"); err != nil || got.ID != dom.ID {
		t.Errorf("domain by name: %+v, %v", got, err)
	}
	if got, err := ts.InboxByAddress(ctx, "support@example.com"); err != nil || got.ID != in.ID {
		t.Errorf("inbox by address: %+v, %v", got, err)
	}
	got, err := ts.CredentialByHash(ctx, ts.HashToken("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if !got.May(in.ID, Read) || got.May(in.ID, Read|Send) || got.May(uuid.New(), Read) {
		t.Error("AC-4: absent must mean nothing")
	}
	if _, err := ts.Agent(ctx, uuid.New(), agent.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("AC-19: agent of another organization: %v, want ErrNotFound", err)
	}
	if _, err := ts.CredentialByHash(ctx, ts.HashToken("other")); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown token: %v", err)
	}
}

func TestUpdateNeedsTheVersionThatWasRead(t *testing.T) {
	ts := newTestStore(t)
	org, _, _ := ts.addOrg(t, "example.com", "a")
	agent := Agent{Head: Head{Org: org.ID}, Name: "scout", Owner: "ada@example.com"}
	ts.write(t, audit.AgentCreate, func(tx *Tx, e *audit.Event) error { return tx.CreateAgent(e, &agent) })
	stale := agent
	ts.write(t, audit.AgentSuspend, func(tx *Tx, e *audit.Event) error { return tx.UpdateAgent(e, &agent) })
	err := ts.Write(t.Context(), System, func(tx *Tx) error {
		return tx.UpdateAgent(tx.Record(audit.Event{Verb: audit.AgentResume}), &stale)
	})
	if !errors.Is(err, ErrConflict) {
		t.Errorf("update of a stale record: %v, want ErrConflict", err)
	}
}

// TestInvariant9_HintsFailClosed moves clear columns under sealed records, as
// somebody with the database and without the keys can.
func TestInvariant9_HintsFailClosed(t *testing.T) {
	ts := newTestStore(t)
	org, _, in := ts.addOrg(t, "example.com", "a")
	agent := Agent{Head: Head{Org: org.ID}, Name: "scout", Owner: "ada@example.com"}
	ts.write(t, audit.AgentCreate, func(tx *Tx, e *audit.Event) error { return tx.CreateAgent(e, &agent) })
	for i, tok := range []string{"one", "two"} {
		c := Credential{Head: Head{Org: org.ID}, Agent: agent.ID, PublicID: tok, TokenHash: ts.HashToken(tok),
			Scopes: []Scope{{in.ID, []Verbs{Read, Read | Send}[i]}}, Env: Live, Expires: ts.clock.now().Add(time.Hour)}
		ts.write(t, audit.CredentialCreate, func(tx *Tx, e *audit.Event) error { return tx.CreateCredential(e, &c) })
	}
	edits := map[string]string{
		"token of another row":     "UPDATE credential SET token_hash = CASE public_id WHEN 'one' THEN x'00' ELSE token_hash END; UPDATE credential SET token_hash = $1 WHERE public_id = 'two'",
		"sealed of another row":    "UPDATE credential SET sealed = (SELECT sealed FROM credential WHERE public_id = 'two') WHERE public_id = 'one'",
		"version":                  "UPDATE credential SET version = 7 WHERE public_id = 'one'",
		"event":                    "UPDATE credential SET event = x'00112233445566778899aabbccddeeff' WHERE public_id = 'one'",
		"flipped byte of a record": "UPDATE credential SET sealed = substr(sealed, 1, 20) || x'ff' || substr(sealed, 22) WHERE public_id = 'one'",
	}
	for name, edit := range edits {
		t.Run(name, func(t *testing.T) {
			ts.Abandon()
			saved := copyFiles(t, ts.cfg.Dir)
			hash := ts.HashToken("one")
			tamper(t, ts.cfg.Dir, edit, hash)
			s, err := Open(t.Context(), ts.cfg)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.CredentialByHash(t.Context(), hash); !errors.Is(err, ErrCorrupt) {
				t.Errorf("a tampered row answered %v, want ErrCorrupt", err)
			}
			s.Abandon()
			restoreFiles(t, ts.cfg.Dir, saved)
			ts.open(t)
		})
	}
}

// TestRootKeyRefused: the wrong root key is refused with the id of the wanted one.
func TestRootKeyRefused(t *testing.T) {
	ts := newTestStore(t)
	ts.Close()
	other, err := seal.CreateRootKey(filepath.Join(t.TempDir(), "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := ts.cfg
	cfg.Root = other
	_, err = Open(t.Context(), cfg)
	var wrong *seal.WrongKeyError
	if !errors.As(err, &wrong) || wrong.Want != ts.cfg.Root.ID() {
		t.Errorf("another root key: %v, want one that names %s", err, ts.cfg.Root.ID())
	}
	ts.open(t)
}

func TestSecondProcessIsKeptOut(t *testing.T) {
	ts := newTestStore(t)
	if _, err := Open(t.Context(), ts.cfg); !errors.Is(err, ErrLocked) {
		t.Errorf("a second process: %v, want ErrLocked", err)
	}
}

func TestReadOnlyDirectory(t *testing.T) {
	if os.Getuid() == 0 {
		// Root writes through permissions: a file in the place of the directory
		// fails for everybody.
		home := t.TempDir()
		root, _ := seal.CreateRootKey(filepath.Join(home, "root.key"))
		os.WriteFile(filepath.Join(home, "data"), nil, 0o600)
		if _, err := Open(t.Context(), Config{Dir: filepath.Join(home, "data"), Root: root}); err == nil {
			t.Error("a data directory that is a file was opened")
		}
		return
	}
	home := t.TempDir()
	root, _ := seal.CreateRootKey(filepath.Join(home, "root.key"))
	dir := filepath.Join(home, "data")
	if err := os.Mkdir(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Dir: dir, Root: root}); err == nil {
		t.Error("a read-only data directory was opened")
	}
}

// TestNewerSchemaIsRefused names both versions.
func TestNewerSchemaIsRefused(t *testing.T) {
	ts := newTestStore(t)
	ts.Close()
	tamper(t, ts.cfg.Dir, "PRAGMA user_version = 99")
	var newer *SchemaError
	if _, err := Open(t.Context(), ts.cfg); !errors.As(err, &newer) || newer.Have != 99 {
		t.Errorf("a newer schema: %v", err)
	}
	tamper(t, ts.cfg.Dir, fmt.Sprintf("PRAGMA user_version = %d", newer.Know))
	ts.open(t)
}
