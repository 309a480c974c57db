package storage

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
	"postern/storage/seal"
)

// CertificateFile is one file of the certificate authority's client: an account, a
// certificate, a private key. Its name says whom it is for, and is sealed with it.
type CertificateFile struct {
	Head
	Name    string    `json:"name"` // a path as "certificates/AUTHORITY/NAME/NAME.key"
	Value   []byte    `json:"value"`
	Written time.Time `json:"written"`
}

// PutCertificateFile writes a file over the one of its name, if there is one.
func (tx *Tx) PutCertificateFile(e *audit.Event, f *CertificateFile) error {
	hash := tx.store().hashName("certificate_file", f.Name)
	old, err := listIn[CertificateFile](tx, "certificate_file", "name_hash = $1", hash)
	if err != nil {
		return err
	}
	switch {
	case len(old) == 1 && old[0].Name != f.Name:
		return ErrCorrupt
	case len(old) == 1 && old[0].Org != f.Org: // a domain that another organization has now
		if err := tx.DeleteCertificateFile(e, &old[0]); err != nil {
			return err
		}
	case len(old) == 1:
		f.Head = old[0].Head
	}
	f.Written = tx.now
	sealed, err := tx.sealRecord(e, "certificate_file", f)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO certificate_file (id, org, version, event, name_hash, sealed) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (id) DO UPDATE SET version = excluded.version, event = excluded.event, sealed = excluded.sealed`,
		f.ID[:], f.Org[:], f.Version, f.Event[:], hash, sealed)
}

// DeleteCertificateFile removes a file that was read before; ErrConflict when
// somebody wrote it in between.
func (tx *Tx) DeleteCertificateFile(e *audit.Event, f *CertificateFile) error {
	tx.forget(e, "certificate_file", f)
	return changed(tx.execN("DELETE FROM certificate_file WHERE id = $1 AND version = $2", f.ID[:], f.Version))
}

// CertificateFile finds a file by its name.
func (s *Store) CertificateFile(ctx context.Context, name string) (CertificateFile, error) {
	f, err := find[CertificateFile](ctx, s, "certificate_file", "name_hash = $1", s.hashName("certificate_file", name))
	if err == nil && f.Name != name {
		return CertificateFile{}, ErrCorrupt // the index hint points to another record
	}
	return f, err
}

// CertificateFiles lists the files whose name begins with a prefix, by name. It
// opens every file there is: names are not in an order that could be asked for.
func (s *Store) CertificateFiles(ctx context.Context, prefix string) ([]CertificateFile, error) {
	var found []CertificateFile
	for after := uuid.Nil; ; {
		some, err := list[CertificateFile](ctx, s, "certificate_file", "id > $1 ORDER BY id LIMIT $2", after[:], certificatePage)
		if err != nil {
			return nil, err
		}
		for _, f := range some {
			after = f.ID
			if strings.HasPrefix(f.Name, prefix) {
				found = append(found, f)
			}
		}
		if len(some) < certificatePage {
			break
		}
	}
	slices.SortFunc(found, func(a, b CertificateFile) int { return cmp.Compare(a.Name, b.Name) })
	return found, nil
}

// certificatePage is how many files one short read opens.
const certificatePage = 256

// LockCertificate gives a name to an owner until a time, unless another owner has
// it and its time is not over. It reports whether the owner has it now; asking
// again prolongs.
func (u *Upkeep) LockCertificate(name string, owner uuid.UUID, until time.Time) (bool, error) {
	n, err := u.tx.execN(`INSERT INTO certificate_lock (name_hash, owner, until) VALUES ($1, $2, $3)
		ON CONFLICT (name_hash) DO UPDATE SET owner = excluded.owner, until = excluded.until
		WHERE certificate_lock.owner = $2 OR certificate_lock.until <= $4`,
		u.tx.store().hashName("certificate_lock", name), owner[:], micros(until), micros(u.tx.now))
	return n > 0, err
}

// UnlockCertificate ends what LockCertificate gave to the owner.
func (u *Upkeep) UnlockCertificate(name string, owner uuid.UUID) error {
	return u.tx.exec("DELETE FROM certificate_lock WHERE name_hash = $1 AND owner = $2", u.tx.store().hashName("certificate_lock", name), owner[:])
}

// ForgetCertificateLocks ends what dead processes had: called at start, when all
// others are, since one process has the data directory.
func (u *Upkeep) ForgetCertificateLocks() error { return u.tx.exec("DELETE FROM certificate_lock") }

// CertificateAttempt is how it stands with a name for which no certificate could
// be had at the last attempt. It is operational: each attempt has its event, and
// these are what the next start goes on from, so that a server which is started
// again and again does not ask again and again.
type CertificateAttempt struct {
	Name     string
	Org      uuid.UUID
	Failures int // in a row
	Due      time.Time
	Problem  string // what was wrong, for people
}

// sealedAttempt is what is sealed of an attempt.
type sealedAttempt struct {
	Name    string `json:"name"`
	Problem string `json:"problem"`
}

func attemptIdentity(org uuid.UUID, hash []byte) seal.Identity {
	return seal.Identity{Org: org, Table: "certificate_attempt", ID: hash, Purpose: "attempt"}
}

// PutCertificateAttempt notes how an attempt ended that failed.
func (u *Upkeep) PutCertificateAttempt(a CertificateAttempt) error {
	hash := u.tx.store().hashName("certificate_attempt", a.Name)
	key, err := u.tx.store().orgKey(context.Background(), a.Org)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(sealedAttempt{a.Name, a.Problem})
	if err != nil {
		return err
	}
	return u.tx.exec(`INSERT INTO certificate_attempt (name_hash, org, failures, due, sealed) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (name_hash) DO UPDATE SET org = excluded.org, failures = excluded.failures, due = excluded.due, sealed = excluded.sealed`,
		hash, a.Org[:], a.Failures, micros(a.Due), key.Seal(plain, attemptIdentity(a.Org, hash)))
}

// DropCertificateAttempt forgets the failures of a name.
func (u *Upkeep) DropCertificateAttempt(name string) error {
	return u.tx.exec("DELETE FROM certificate_attempt WHERE name_hash = $1", u.tx.store().hashName("certificate_attempt", name))
}

// CertificateAttempts lists the names whose last attempt failed, by name. One that
// does not open is left out: it is tried as if it were new.
func (s *Store) CertificateAttempts(ctx context.Context) ([]CertificateAttempt, error) {
	type row struct {
		CertificateAttempt
		hash, sealed []byte
	}
	var all []row
	err := s.read(ctx, func(r *reads) error {
		rows, err := r.rows("SELECT name_hash, org, failures, due, sealed FROM certificate_attempt")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var a row
			var due int64
			if err := rows.Scan(&a.hash, &a.Org, &a.Failures, &due, &a.sealed); err != nil {
				return classify(err)
			}
			a.Due = fromMicros(due)
			all = append(all, a)
		}
		return classify(rows.Err())
	})
	if err != nil {
		return nil, err
	}
	var opened []CertificateAttempt
	for _, a := range all {
		plain, err := s.openAttempt(ctx, a.Org, a.hash, a.sealed)
		if errors.Is(err, ErrCorrupt) {
			continue
		}
		if err != nil {
			return nil, err
		}
		a.Name, a.Problem = plain.Name, plain.Problem
		opened = append(opened, a.CertificateAttempt)
	}
	slices.SortFunc(opened, func(a, b CertificateAttempt) int { return cmp.Compare(a.Name, b.Name) })
	return opened, nil
}

func (s *Store) openAttempt(ctx context.Context, org uuid.UUID, hash, sealed []byte) (a sealedAttempt, err error) {
	key, err := s.orgKey(ctx, org)
	if err != nil {
		return a, err
	}
	plain, err := key.Open(sealed, attemptIdentity(org, hash))
	if err != nil {
		return a, fmt.Errorf("%w: certificate attempt: %v", ErrCorrupt, err)
	}
	if err := json.Unmarshal(plain, &a); err != nil {
		return a, fmt.Errorf("%w: certificate attempt: %v", ErrCorrupt, err)
	}
	return a, nil
}
