package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/google/uuid"

	"postern/storage/seal"
)

// keyStore is keys.db: the wrapped inbox keys and the sealed signing key, apart
// from the data so that a backup of the data does not hold them. With
// secure_delete a destroyed key leaves no copy in a free page.
type keyStore struct {
	db   *sql.DB
	root *seal.RootKey

	mu     sync.RWMutex
	inbox  map[uuid.UUID]*inboxKeys
	gone   map[uuid.UUID]bool // removed in this process, or before and not yet erased
	orgs   map[uuid.UUID]seal.Key
	events map[uuid.UUID]seal.Key // organization's key for personal fields
}

// inboxKeys are what one inbox key opens, derived once.
type inboxKeys struct {
	key      seal.Key // wraps data keys
	metadata seal.Key // envelopes and structures
	events   seal.Key // personal fields of the inbox's events
	lookup   seal.Key // keyed hashes: Message-ID, receipts
}

func newInboxKeys(k seal.Key) *inboxKeys {
	return &inboxKeys{key: k, metadata: k.Derive("metadata"), events: k.Derive("event"), lookup: k.Derive("lookup")}
}

const keysSchema = `
CREATE TABLE IF NOT EXISTS inbox_key (
    inbox   BLOB PRIMARY KEY,
    org     BLOB NOT NULL,
    wrapped BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS secret (
    name   TEXT PRIMARY KEY,
    sealed BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS recovery (
    name    TEXT PRIMARY KEY,
    wrapped BLOB NOT NULL
) WITHOUT ROWID;`

func openKeys(ctx context.Context, path string, root *seal.RootKey) (*keyStore, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o600)
		if err != nil {
			return nil, fmt.Errorf("storage: %w", err)
		}
		f.Close()
	}
	db, err := sql.Open("sqlite", dsn(path, "secure_delete(ON)"))
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, keysSchema); err != nil {
		db.Close()
		return nil, fmt.Errorf("storage: %s: %w", filepath.Base(path), classify(err))
	}
	return &keyStore{db: db, root: root, inbox: map[uuid.UUID]*inboxKeys{}, gone: map[uuid.UUID]bool{}, orgs: map[uuid.UUID]seal.Key{}, events: map[uuid.UUID]seal.Key{}}, nil
}

func (k *keyStore) close() error { return k.db.Close() }

func inboxKeyIdentity(org, inbox uuid.UUID) seal.Identity {
	return seal.Identity{Org: org, Table: "inbox_key", ID: inbox[:], Purpose: "wrap"}
}

// putInbox commits a new inbox key before the first row that uses it.
func (k *keyStore) putInbox(ctx context.Context, org, inbox uuid.UUID, orgKey, key seal.Key) error {
	_, err := k.db.ExecContext(ctx, "INSERT INTO inbox_key (inbox, org, wrapped) VALUES ($1, $2, $3)",
		inbox[:], org[:], orgKey.Wrap(key, inboxKeyIdentity(org, inbox)))
	return classify(err)
}

// retire hands out the key of an inbox no more, also to those who are looking
// it up at this moment.
func (k *keyStore) retire(inbox uuid.UUID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.inbox, inbox)
	k.gone[inbox] = true
}

// retired reports whether the inbox was removed.
func (k *keyStore) retired(inbox uuid.UUID) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.gone[inbox]
}

// destroyInbox makes everything that the inbox's key sealed unreadable, and
// reports whether there was a key. secure_delete overwrites the row in its page,
// and the checkpoint brings that page to the file and ends the log that still
// has it as it was.
func (k *keyStore) destroyInbox(ctx context.Context, inbox uuid.UUID) (gone bool, err error) {
	res, err := k.db.ExecContext(ctx, "DELETE FROM inbox_key WHERE inbox = $1", inbox[:])
	if err != nil {
		return false, classify(err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return false, classify(err)
	}
	var busy, log, moved int
	if err := k.db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &moved); err != nil {
		return false, classify(err)
	}
	if busy != 0 {
		return false, fmt.Errorf("%w: somebody reads %s, and a destroyed key is still in its log", errBusy, keysFile)
	}
	return n > 0, nil
}

func (k *keyStore) wrappedInbox(ctx context.Context, inbox uuid.UUID) (wrapped []byte, err error) {
	err = k.db.QueryRowContext(ctx, "SELECT wrapped FROM inbox_key WHERE inbox = $1", inbox[:]).Scan(&wrapped)
	return wrapped, found(err)
}

// secret returns a named secret sealed under the root key; ErrNotFound when absent.
func (k *keyStore) secret(ctx context.Context, name string) ([]byte, error) {
	var sealed []byte
	err := k.db.QueryRowContext(ctx, "SELECT sealed FROM secret WHERE name = $1", name).Scan(&sealed)
	if err != nil {
		return nil, found(err)
	}
	b, err := k.root.Key().Open(sealed, secretIdentity(name))
	if err != nil {
		return nil, fmt.Errorf("%w: secret %s: %v", ErrCorrupt, name, err)
	}
	return b, nil
}

func (k *keyStore) putSecret(ctx context.Context, name string, b []byte) error {
	_, err := k.db.ExecContext(ctx, "INSERT INTO secret (name, sealed) VALUES ($1, $2)", name, k.root.Key().Seal(b, secretIdentity(name)))
	return classify(err)
}

func secretIdentity(name string) seal.Identity {
	return seal.Identity{Table: "secret", ID: []byte(name), Purpose: "secret"}
}

// orgKey returns an organization's key.
func (s *Store) orgKey(ctx context.Context, org uuid.UUID) (seal.Key, error) {
	s.keys.mu.RLock()
	key, ok := s.keys.orgs[org]
	s.keys.mu.RUnlock()
	if ok {
		return key, nil
	}
	var wrapped []byte
	err := s.look(ctx, func(r *reads) error {
		return found(r.row("SELECT wrapped_key FROM organization WHERE id = $1", org[:]).Scan(&wrapped))
	})
	if err != nil {
		return seal.Key{}, err
	}
	return s.unwrapOrg(org, wrapped)
}

func orgKeyIdentity(org uuid.UUID) seal.Identity {
	return seal.Identity{Org: org, Table: "organization", ID: org[:], Purpose: "wrap"}
}

func (s *Store) unwrapOrg(org uuid.UUID, wrapped []byte) (seal.Key, error) {
	key, err := s.cfg.Root.Key().Unwrap(wrapped, orgKeyIdentity(org))
	if err != nil {
		return seal.Key{}, fmt.Errorf("%w: key of organization %s: %v", ErrCorrupt, org, err)
	}
	s.keys.mu.Lock()
	s.keys.orgs[org] = key
	s.keys.events[org] = key.Derive("event")
	s.keys.mu.Unlock()
	return key, nil
}

// inboxKeysOf returns what an inbox's key opens; ErrNotFound when the key was destroyed.
func (s *Store) inboxKeysOf(ctx context.Context, org, inbox uuid.UUID) (*inboxKeys, error) {
	s.keys.mu.RLock()
	ik, gone := s.keys.inbox[inbox], s.keys.gone[inbox]
	s.keys.mu.RUnlock()
	if gone {
		return nil, ErrNotFound
	}
	if ik != nil {
		return ik, nil
	}
	orgKey, err := s.orgKey(ctx, org)
	if err != nil {
		return nil, err
	}
	wrapped, err := s.keys.wrappedInbox(ctx, inbox)
	if err != nil {
		return nil, err
	}
	key, err := orgKey.Unwrap(wrapped, inboxKeyIdentity(org, inbox))
	if err != nil {
		return nil, fmt.Errorf("%w: key of inbox %s: %v", ErrCorrupt, inbox, err)
	}
	ik = newInboxKeys(key)
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	if s.keys.gone[inbox] {
		return nil, ErrNotFound
	}
	s.keys.inbox[inbox] = ik
	return ik, nil
}

// inboxKey returns the key that wraps an inbox's data keys.
func (s *Store) inboxKey(ctx context.Context, org, inbox uuid.UUID) (seal.Key, error) {
	ik, err := s.inboxKeysOf(ctx, org, inbox)
	if err != nil {
		return seal.Key{}, err
	}
	return ik.key, nil
}

// eventKey returns the key for the personal fields of an event: the inbox's
// where it concerns one, else the organization's, else the installation's.
func (s *Store) eventKey(ctx context.Context, org, inbox uuid.UUID) (seal.Key, error) {
	switch {
	case inbox != uuid.Nil:
		ik, err := s.inboxKeysOf(ctx, org, inbox)
		if err != nil {
			return seal.Key{}, err
		}
		return ik.events, nil
	case org != uuid.Nil:
		if _, err := s.orgKey(ctx, org); err != nil {
			return seal.Key{}, err
		}
		s.keys.mu.RLock()
		defer s.keys.mu.RUnlock()
		return s.keys.events[org], nil
	}
	return s.events, nil
}
