package acme

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/google/uuid"

	"postern/storage"
	"postern/storage/audit"
)

// files is the store as certmagic sees it: files that have paths. A certificate
// comes as three of them, one by one; they are held back until all are there, and
// then written in one transaction with the event, so that there is never a
// certificate with another one's key.
type files struct {
	store *storage.Store

	mu      sync.Mutex
	locks   map[string]uuid.UUID         // that are ours, by name: who owns them
	waiting map[string]map[string][]byte // by folder of a certificate: what has come of it, by path
}

var _ certmagic.Storage = (*files)(nil)

func newFiles(store *storage.Store) *files {
	return &files{store: store, locks: map[string]uuid.UUID{}, waiting: map[string]map[string][]byte{}}
}

// certificates is the folder of all certificates.
const certificates = "certificates/"

// parts are the extensions of the files of one certificate.
var parts = []string{".key", ".crt", ".json"}

// Store keeps a file, with the others of its certificate. The context says for
// which attempt.
func (f *files) Store(ctx context.Context, key string, value []byte) error {
	if !strings.HasPrefix(key, certificates) {
		return fmt.Errorf("acme: %q is no file of a certificate", path.Base(key))
	}
	all := f.hold(key, value)
	if all == nil {
		return nil
	}
	a, ok := ctx.Value(attemptKey{}).(*attempt)
	if !ok {
		return errors.New("acme: a certificate came that nobody had asked for")
	}
	defer f.drop(path.Dir(key))
	return f.put(ctx, a, all)
}

// hold notes a file, and returns all of its certificate once they are there.
func (f *files) hold(key string, value []byte) map[string][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	folder := path.Dir(key)
	if f.waiting[folder] == nil {
		f.waiting[folder] = map[string][]byte{}
	}
	f.waiting[folder][key] = value
	if len(f.waiting[folder]) < len(parts) {
		return nil
	}
	return f.waiting[folder]
}

func (f *files) drop(folder string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.waiting, folder)
}

// put writes the files of a certificate, and that the name has failed no more.
func (f *files) put(ctx context.Context, a *attempt, all map[string][]byte) error {
	leaf, err := leafOf(all)
	if err != nil {
		return err
	}
	return f.store.Write(ctx, a.actor, func(tx *storage.Tx) error {
		e := tx.Record(audit.Event{Verb: a.verb, Outcome: audit.OK, Org: a.org,
			Fields: audit.Fields{
				audit.Word(audit.KeyAuthority, word(a.authority)), audit.Word(audit.KeyChallenge, word(a.challenge)),
				audit.Digest(audit.KeyFingerprint, fingerprint(leaf)), audit.Time(audit.KeyNotAfter, leaf.NotAfter),
			},
			Personal: audit.Fields{audit.Text(audit.KeyDomain, a.name)}})
		for key, value := range all {
			file := storage.CertificateFile{Head: storage.Head{Org: a.org}, Name: key, Value: value}
			if err := tx.PutCertificateFile(e, &file); err != nil {
				return err
			}
			if path.Ext(key) == ".crt" {
				e.Object = file.ID
			}
		}
		return tx.Upkeep().DropCertificateAttempt(a.name)
	})
}

// leafOf is the certificate itself, which is the first of its chain (RFC 8555,
// section 9.1).
func leafOf(all map[string][]byte) (*x509.Certificate, error) {
	for key, value := range all {
		if path.Ext(key) != ".crt" {
			continue
		}
		block, _ := pem.Decode(value)
		if block == nil {
			return nil, errors.New("acme: the authority sent no certificate")
		}
		return x509.ParseCertificate(block.Bytes)
	}
	return nil, errors.New("acme: a certificate without its chain")
}

func fingerprint(c *x509.Certificate) []byte {
	sum := sha256.Sum256(c.Raw)
	return sum[:]
}

// Load returns a file: one that is held back, or one of the store.
func (f *files) Load(ctx context.Context, key string) ([]byte, error) {
	f.mu.Lock()
	value, ok := f.waiting[path.Dir(key)][key]
	f.mu.Unlock()
	if ok {
		return value, nil
	}
	file, err := f.store.CertificateFile(ctx, key)
	return file.Value, absent(err)
}

// absent is the error that certmagic knows for a file that there is not.
func absent(err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return fs.ErrNotExist
	}
	return err
}

// Delete forgets files that were held back, which is what certmagic does when it
// could not store the rest. What is in the store is removed by the keeper alone.
func (f *files) Delete(_ context.Context, key string) error {
	f.drop(path.Dir(key))
	return nil
}

// Exists reports whether there is a file, or a folder of files.
func (f *files) Exists(ctx context.Context, key string) bool {
	_, err := f.Stat(ctx, key)
	return err == nil
}

// List returns the paths below a folder, in order; without recursive those right
// in it.
func (f *files) List(ctx context.Context, folder string, recursive bool) ([]string, error) {
	prefix := strings.TrimSuffix(folder, "/") + "/"
	all, err := f.store.CertificateFiles(ctx, prefix)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, file := range all {
		name := file.Name
		if first, _, deeper := strings.Cut(name[len(prefix):], "/"); deeper && !recursive {
			name = prefix + first
		}
		if len(paths) == 0 || paths[len(paths)-1] != name {
			paths = append(paths, name)
		}
	}
	if len(paths) == 0 {
		return nil, fs.ErrNotExist
	}
	return paths, nil
}

// Stat describes a file, or a folder of files.
func (f *files) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	file, err := f.store.CertificateFile(ctx, key)
	if err == nil {
		return certmagic.KeyInfo{Key: key, Modified: file.Written, Size: int64(len(file.Value)), IsTerminal: true}, nil
	}
	if !errors.Is(err, storage.ErrNotFound) {
		return certmagic.KeyInfo{}, err
	}
	if _, err := f.List(ctx, key, false); err != nil {
		return certmagic.KeyInfo{}, err
	}
	return certmagic.KeyInfo{Key: key}, nil
}

// Bounds of a lock: longer than an attempt may take, and how often who waits for
// one asks.
const (
	lockTime = 2 * attemptTime
	lockPoll = 250 * time.Millisecond
)

// Lock waits until a name is nobody else's.
func (f *files) Lock(ctx context.Context, name string) error {
	owner := uuid.New()
	for {
		var got bool
		err := f.store.Upkeep(ctx, func(u *storage.Upkeep) (err error) {
			got, err = u.LockCertificate(name, owner, u.Now().Add(lockTime))
			return err
		})
		if err != nil {
			return err
		}
		if got {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.locks[name] = owner
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}

// Unlock ends a lock.
func (f *files) Unlock(ctx context.Context, name string) error {
	f.mu.Lock()
	owner := f.locks[name]
	delete(f.locks, name)
	f.mu.Unlock()
	return f.store.Upkeep(context.WithoutCancel(ctx), func(u *storage.Upkeep) error { return u.UnlockCertificate(name, owner) })
}
