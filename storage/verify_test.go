package storage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/storage/audit"
)

// lived is a store in which everything happened once, stopped in order.
func lived(t *testing.T) (*testStore, Credential) {
	t.Helper()
	ts := newTestStore(t)
	org, _, rec := ts.addOrg(t, "example.com", "support")
	agent := Agent{Head: Head{Org: org.ID}, Name: "scout", Owner: "ada@example.com"}
	ts.write(t, audit.AgentCreate, func(tx *Tx, e *audit.Event) error { return tx.CreateAgent(e, &agent) })
	cred := Credential{Head: Head{Org: org.ID}, Agent: agent.ID, PublicID: "abcdefgh", TokenHash: ts.HashToken("secret"),
		Scopes: []Scope{{rec.ID, Read | Flag}}, Env: Live, Expires: ts.clock.now().Add(time.Hour)}
	ts.write(t, audit.CredentialCreate, func(tx *Tx, e *audit.Event) error { return tx.CreateCredential(e, &cred) })
	in, err := ts.OpenInbox(t.Context(), org.ID, rec.ID)
	if err != nil {
		t.Fatal(err)
	}
	box, err := in.MailboxByRole(t.Context(), RoleInbox)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		ts.deposit(t, in, box.ID, []byte("Subject: one\r\n\r\nHello.\r\n"), letter(n))
	}
	ts.hold(t, in, agent, cred)
	if err := ts.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 300 { // over a tile
		ts.write(t, audit.ServerHeartbeat, func(*Tx, *audit.Event) error { return nil })
	}
	return ts, cred
}

// hold puts a message into the queue that waits for a person.
func (ts *testStore) hold(t *testing.T, in *Inbox, agent Agent, cred Credential) {
	t.Helper()
	g := ts.stage(t, []byte("Subject: held\r\n\r\nHello.\r\n"))
	defer g.Discard()
	ts.write(t, audit.MessageSubmitted, func(tx *Tx, e *audit.Event) error {
		body, err := tx.AddBody(g)
		if err != nil {
			return err
		}
		o := Outgoing{Head: Head{Org: in.Org()}, Inbox: in.ID(), Message: NewID(), Agent: agent.ID, Credential: cred.ID,
			State: OutgoingHeld, From: in.Address(), To: "you@example.net", Expires: tx.Now().Add(time.Hour)}
		return tx.CreateOutgoing(e, &o, body, "example.net")
	})
}

func TestVerifyDataFindsNothing(t *testing.T) {
	ts, _ := lived(t)
	ts.Close()
	r, err := VerifyData(t.Context(), ts.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() || r.Messages != 5 || r.Events < 300 || r.Checkpoints < 2 || r.Rows < 10 {
		t.Errorf("%+v", r)
	}
}

func TestVerifyDataOfARunningServer(t *testing.T) {
	ts := newTestStore(t)
	if _, err := VerifyData(t.Context(), ts.cfg); !errors.Is(err, ErrLocked) {
		t.Errorf("%v, want ErrLocked", err)
	}
}

// TestInvariant11_EditsOfTheDatabase: what somebody does to a stopped server's
// database is refused at start or named by the verifier.
func TestInvariant11_EditsOfTheDatabase(t *testing.T) {
	ts, cred := lived(t)
	ctx := context.Background()
	ts.Abandon()
	early := copyFiles(t, ts.cfg.Dir)
	ts.open(t)
	live, err := ts.CredentialByHash(ctx, ts.HashToken("secret"))
	if err != nil {
		t.Fatal(err)
	}
	var liveRow []byte
	ts.read(ctx, func(r *reads) error {
		return r.row("SELECT sealed FROM credential WHERE id = $1", cred.ID[:]).Scan(&liveRow)
	})
	revoked := live
	revoked.Revoked = ts.now()
	ts.write(t, audit.CredentialRevoke, func(tx *Tx, e *audit.Event) error { return tx.UpdateCredential(e, &revoked) })
	ts.Close()
	good := copyFiles(t, ts.cfg.Dir)

	edits := []struct {
		name, want string
		edit       func()
	}{
		{"an event changed", "event 3", func() {
			tamper(t, ts.cfg.Dir, "UPDATE event SET canonical = substr(canonical, 1, length(canonical) - 1) || CASE WHEN substr(canonical, -1) = x'7f' THEN x'80' ELSE x'7f' END WHERE seq = 3")
		}},
		{"an event's columns changed", "event 4", func() { tamper(t, ts.cfg.Dir, "UPDATE event SET org = NULL WHERE seq = 4") }},
		{"an event's personal fields swapped", "event 5", func() {
			tamper(t, ts.cfg.Dir, "UPDATE event SET sealed = x'00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff' WHERE seq = 5")
		}},
		{"an event dropped", "event", func() { tamper(t, ts.cfg.Dir, "DELETE FROM event WHERE seq = 7") }},
		{"a tree node", "event 0", func() {
			tamper(t, ts.cfg.Dir, "UPDATE tile SET hashes = CASE WHEN substr(hashes, 1, 1) = x'ff' THEN x'00' ELSE x'ff' END || substr(hashes, 2) WHERE level = 0 AND n = 0")
		}},
		{"a checkpoint", "checkpoint", func() {
			tamper(t, ts.cfg.Dir, "UPDATE checkpoint SET note = replace(note, 'time 2026-01', 'time 2025-01') WHERE size = (SELECT MIN(size) FROM checkpoint)")
		}},
		{"the tail cut", "tree", func() {
			tamper(t, ts.cfg.Dir, "DELETE FROM event WHERE seq > 20")
		}},
		{"an old copy", "witness", func() { restoreFiles(t, ts.cfg.Dir, early) }},
		{"a revoked credential made live", "credential " + cred.ID.String(), func() {
			tamper(t, ts.cfg.Dir, "UPDATE credential SET sealed = $1, version = $2, event = $3 WHERE id = $4", liveRow, live.Version, live.Event[:], cred.ID[:])
		}},
		{"a credential under another token", "token_hash", func() {
			tamper(t, ts.cfg.Dir, "UPDATE credential SET token_hash = x'00' WHERE id = $1", cred.ID[:])
		}},
		{"a held message set to released", "column state", func() {
			tamper(t, ts.cfg.Dir, "UPDATE outgoing SET state = 1 WHERE state = 2")
		}},
		{"a record edited", "credential " + cred.ID.String(), func() {
			tamper(t, ts.cfg.Dir, "UPDATE credential SET sealed = sealed || x'00' WHERE id = $1", cred.ID[:])
		}},
		{"a row added", "no event wrote the row", func() {
			tamper(t, ts.cfg.Dir, "INSERT INTO credential (id, org, agent, version, event, public_id, token_hash, sealed) SELECT x'00112233445566778899aabbccddeeff', org, agent, version, event, 'other', x'01', sealed FROM credential")
		}},
		{"a row removed", "the row is gone", func() { tamper(t, ts.cfg.Dir, "DELETE FROM agent") }},
		{"a message removed", "UIDs that are gone", func() { tamper(t, ts.cfg.Dir, "DELETE FROM message WHERE place % 4294967296 = 3") }},
		{"a message's content", "message 2", func() {
			tamper(t, ts.cfg.Dir, "UPDATE content SET sealed = (SELECT sealed FROM content WHERE place % 4294967296 = 4) WHERE place % 4294967296 = 2")
		}},
		{"a body removed", "body", func() { tamper(t, ts.cfg.Dir, "DELETE FROM body WHERE no = (SELECT MAX(no) FROM body)") }},
		{"a body's rest cut", "body", func() {
			tamper(t, ts.cfg.Dir, "UPDATE body SET sealed = SUBSTR(sealed, 1, LENGTH(sealed) - 1) WHERE no = (SELECT MAX(no) FROM body)")
		}},
		{"a rest without a body", "body 9999", func() {
			tamper(t, ts.cfg.Dir, "INSERT INTO body_rest (place, sealed) VALUES (9999 * 256 + 1, x'00')")
		}},
		{"the index key", "meta index", func() {
			tamper(t, ts.cfg.Dir, "UPDATE event SET verb = verb; UPDATE meta SET value = value || x'00' WHERE name = 'index'")
		}},
	}
	for _, e := range edits {
		t.Run(e.name, func(t *testing.T) {
			restoreFiles(t, ts.cfg.Dir, good)
			e.edit()
			var said []string
			r, err := VerifyData(ctx, ts.cfg)
			if err != nil {
				said = append(said, err.Error())
			} else {
				for _, p := range r.Problems {
					said = append(said, p.String())
				}
			}
			all := strings.Join(said, "\n")
			if !strings.Contains(all, e.want) && !errors.Is(err, ErrCorrupt) {
				t.Errorf("the verifier does not name %q:\n%s", e.want, all)
			}
		})
	}
	restoreFiles(t, ts.cfg.Dir, good)
	if r, err := VerifyData(ctx, ts.cfg); err != nil || !r.OK() {
		t.Errorf("the untouched directory: %+v, %v", r, err)
	}
}

// TestInvariant11_StartRefusesARollback: the witness beside the root key tells
// an older copy, and only an operator's word, which is recorded, opens it.
func TestInvariant11_StartRefusesARollback(t *testing.T) {
	ts, _ := lived(t)
	ts.Abandon()
	early := copyFiles(t, ts.cfg.Dir)
	ts.open(t)
	ts.Heartbeat(t.Context())
	ts.Close()
	restoreFiles(t, ts.cfg.Dir, early)
	var rollback *RollbackError
	if _, err := Open(t.Context(), ts.cfg); !errors.As(err, &rollback) || rollback.Witness <= rollback.Size {
		t.Fatalf("an older copy: %v", err)
	}
	cfg := ts.cfg
	cfg.AcceptRollback = "restored after a disk failure"
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	events, err := s.Events(t.Context(), EventQuery{Verbs: []audit.Verb{audit.LogRollback}})
	if err != nil || len(events) != 1 || events[0].Personal.Text(audit.KeyNote) != cfg.AcceptRollback {
		t.Errorf("rollback event: %+v, %v", events, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	ts.open(t) // the witness is of the accepted log now
}

// TestInvariant11_StartRefusesAnEditedTail: the newest events are held against
// the tree's row at every start.
func TestInvariant11_StartRefusesAnEditedTail(t *testing.T) {
	ts, _ := lived(t)
	ts.Abandon()
	for _, edit := range []string{
		"UPDATE event SET canonical = canonical || x'00' WHERE seq = (SELECT MAX(seq) FROM event)",
		"DELETE FROM event WHERE seq = (SELECT MAX(seq) FROM event)",
		"UPDATE tree SET frontier = x'00' || substr(frontier, 2)",
		"DELETE FROM tree",
	} {
		saved := copyFiles(t, ts.cfg.Dir)
		tamper(t, ts.cfg.Dir, edit)
		if _, err := Open(t.Context(), ts.cfg); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, want ErrCorrupt", edit, err)
		}
		restoreFiles(t, ts.cfg.Dir, saved)
	}
	ts.open(t)
}

// TestExportVerifies: what Export writes is what VerifyBundle accepts.
func TestExportVerifies(t *testing.T) {
	ts, _ := lived(t)
	path := filepath.Join(t.TempDir(), "bundle.jsonl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := ts.Export(t.Context(), System, f, Export{}); err != nil {
		t.Fatal(err)
	}
	f.Seek(0, 0)
	r, err := audit.VerifyBundle(f, audit.VerifyOptions{PublicKey: ts.PublicKey()})
	if err != nil || !r.OK() || !r.Signed || r.Events < 300 {
		t.Errorf("%+v, %v", r, err)
	}
}
