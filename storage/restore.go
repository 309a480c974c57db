package storage

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
	"postern/storage/seal"
)

// Restoring says what to restore, and to where.
type Restoring struct {
	Backup  string // folder of the backup
	Keys    string // file of the keys; the newest that there is
	Dir     string // data directory to be
	Witness string // as in Config; empty: none
	Root    *seal.RootKey
	Version string // of this program
	Replace bool   // what is at Dir is moved aside; without, it must be empty or absent
	Now     func() time.Time
}

// Restored is what a restore did.
type Restored struct {
	Made   time.Time // the backup
	Events uint64    // of its log, verified
	Held   int       // messages that waited to be sent, and wait for a person now
	Aside  string    // where what was there before is; empty: nothing was
}

// How far counters jump, so that no number is given twice: a client that saw the
// server after the backup was made must not take new mail for mail that it knows.
const (
	restoreUIDs    = 1_000
	restoreModseqs = 1_000_000
)

// ruleRestored is why mail that waited to be sent is held: whether it was sent after
// the backup was made, nobody knows.
const ruleRestored = "restored"

// Names beside a data directory while one is restored.
const (
	restoringSuffix = ".restoring"
	completeMark    = "restored" // in it once it is whole
)

// Restore makes a data directory from a backup. It is proven first: its manifest is
// sealed under the root key, every file is the one that was written, every event is
// in the log's tree, and everything that decides something opens. Only then does it
// take the place of what was there, by a rename. One that was cut short is begun
// anew, or finished if it was whole, by the same call. ErrBackup says that the backup
// is not whole, ErrConflict that something is there already, ErrLocked that a server
// runs.
func Restore(ctx context.Context, r Restoring) (*Restored, error) {
	if r.Now == nil {
		r.Now = time.Now
	}
	b, err := ReadBackup(r.Backup, r.Root)
	if err != nil {
		return nil, err
	}
	done := &Restored{Made: b.At}
	if err := r.mayTakePlace(); err != nil {
		return nil, err
	}
	next := r.Dir + restoringSuffix
	if _, err := os.Stat(filepath.Join(next, completeMark)); err != nil {
		if err := r.prepare(ctx, b, next, done); err != nil {
			return nil, err
		}
	}
	if done.Aside, err = r.takePlace(next); err != nil {
		return nil, err
	}
	return done, r.acceptRollback(ctx, b)
}

// mayTakePlace says whether the data directory may be replaced: it is not in use, and
// empty, or somebody said so.
func (r *Restoring) mayTakePlace() error {
	entries, err := os.ReadDir(r.Dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return diskError(err)
	}
	lock, err := takeLock(filepath.Join(r.Dir, lockFile))
	if err != nil {
		return err
	}
	lock.Close()
	if !r.Replace {
		return fmt.Errorf("%w: %s is not empty", ErrConflict, r.Dir)
	}
	return nil
}

// prepare makes the new data directory beside the old one.
func (r *Restoring) prepare(ctx context.Context, b *Backup, next string, done *Restored) error {
	if err := os.RemoveAll(next); err != nil {
		return diskError(err)
	}
	report, err := r.unpack(ctx, b, next)
	if err != nil {
		return err
	}
	if !report.OK() {
		return fmt.Errorf("%w: %d things in it do not agree with its log; the first: %s", ErrBackup, len(report.Problems), report.Problems[0].What)
	}
	done.Events = report.Events
	s, err := Open(ctx, Config{Dir: next, Root: r.Root, Now: r.Now})
	if err != nil {
		return err
	}
	done.Held, err = s.begin(ctx, b, r.Version)
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(next, completeMark), []byte(b.At.Format(time.RFC3339)+"\n")); err != nil {
		return err
	}
	return syncDir(next)
}

// unpack copies a backup into a directory and holds it against its own log.
func (r *Restoring) unpack(ctx context.Context, b *Backup, dir string) (*DataReport, error) {
	if err := os.MkdirAll(filepath.Join(dir, bodiesDir), 0o700); err != nil {
		return nil, diskError(err)
	}
	for _, f := range b.Files {
		if f.Name == keysFile {
			continue // the newest of all backups, not the one of this
		}
		if err := copyFile(ctx, filepath.Join(r.Backup, f.Name), filepath.Join(dir, f.Name), f); err != nil {
			return nil, err
		}
	}
	if err := copyFile(ctx, r.Keys, filepath.Join(dir, keysFile), BackupFile{Name: keysFile, Size: -1}); err != nil {
		return nil, err
	}
	if err := errors.Join(syncDir(filepath.Join(dir, bodiesDir)), syncDir(dir)); err != nil {
		return nil, err
	}
	if err := migrate(ctx, filepath.Join(dir, databaseFile), r.Root); err != nil { // one of an older version
		return nil, err
	}
	return VerifyData(ctx, Config{Dir: dir, Root: r.Root, Now: r.Now})
}

// copyFile copies a file and tells when it is not the one that the manifest names; a
// negative size is one that it does not.
func copyFile(ctx context.Context, from, to string, want BackupFile) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBackup, err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return diskError(err)
	}
	defer out.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, h), in)
	if err == nil {
		err = out.Sync()
	}
	if err != nil {
		return diskError(err)
	}
	if want.Size >= 0 && (n != want.Size || hex.EncodeToString(h.Sum(nil)) != want.SHA256) {
		return fmt.Errorf("%w: %s is not what was written", ErrBackup, want.Name)
	}
	return nil
}

// begin is the first thing that a restored server does: it says what it is, lets its
// counters jump, and holds what may have been sent already.
func (s *Store) begin(ctx context.Context, b *Backup, version string) (held int, err error) {
	err = s.Write(ctx, System, func(tx *Tx) error {
		tx.Record(audit.Event{Verb: audit.BackupRestore, Fields: audit.Fields{audit.Time(audit.KeyFirst, b.At), audit.Word(audit.KeyVersion, version)}})
		return tx.exec("UPDATE mailbox SET uidnext = uidnext + $1, modseq = modseq + $2", restoreUIDs, restoreModseqs)
	})
	if err != nil {
		return 0, err
	}
	orgs, err := s.Organizations(ctx)
	if err != nil {
		return 0, err
	}
	for _, org := range orgs {
		n, err := s.holdRestored(ctx, org.ID)
		held += n
		if err != nil {
			return held, err
		}
	}
	return held, nil
}

// holdRestored holds what waits to be sent to other servers.
func (s *Store) holdRestored(ctx context.Context, org uuid.UUID) (held int, err error) {
	if err := s.Upkeep(ctx, func(u *Upkeep) error { // whoever had a turn is gone
		return u.tx.exec("UPDATE outgoing SET lease_owner = NULL WHERE org = $1", org[:])
	}); err != nil {
		return 0, err
	}
	for after := uuid.Nil; ; {
		rows, err := s.Outgoings(ctx, org, after, exportChunk)
		if err != nil || len(rows) == 0 {
			return held, err
		}
		for i := range rows {
			o := &rows[i]
			after = o.ID
			if o.Local || o.State != OutgoingQueued {
				continue
			}
			o.State = OutgoingHeld
			err := s.Write(ctx, System, func(tx *Tx) error {
				row := *o
				e := tx.Record(audit.Event{Verb: audit.QueueHold, Org: org, Agent: o.Agent, Credential: o.Credential, Inbox: o.Inbox, Object: o.ID,
					Outcome: audit.Held, Fields: audit.Fields{audit.Word(audit.KeyRule, ruleRestored), audit.Word(audit.KeyState, o.State.String())}})
				return tx.UpdateOutgoing(e, &row)
			})
			if err != nil {
				return held, err
			}
			held++
		}
	}
}

// takePlace puts the new directory where the old one was.
func (r *Restoring) takePlace(next string) (aside string, err error) {
	if entries, err := os.ReadDir(r.Dir); err == nil && len(entries) > 0 {
		aside = r.Dir + ".before-" + r.Now().UTC().Format("20060102T150405.000000Z")
		if err := os.Rename(r.Dir, aside); err != nil {
			return "", diskError(err)
		}
	}
	if err := os.Rename(next, r.Dir); err != nil {
		return aside, diskError(err)
	}
	if err := os.Remove(filepath.Join(r.Dir, completeMark)); err != nil {
		return aside, diskError(err)
	}
	return aside, errors.Join(syncDir(r.Dir), syncDir(filepath.Dir(r.Dir)))
}

// acceptRollback tells the witness that this log is the right one, though it ends
// earlier than what it has seen; that it does is recorded.
func (r *Restoring) acceptRollback(ctx context.Context, b *Backup) error {
	if r.Witness == "" {
		return nil
	}
	s, err := Open(ctx, Config{Dir: r.Dir, Root: r.Root, Now: r.Now, Witness: r.Witness,
		AcceptRollback: "restored from the backup of " + b.At.Format(time.RFC3339)})
	if err != nil {
		return err
	}
	return s.Close()
}

// maxManifest bounds a manifest: some hundred thousand large bodies.
const maxManifest = 64 << 20

// ReadBackup reads the manifest of a backup and checks its seal. A *[seal.WrongKeyError]
// says that another root key opens it.
func ReadBackup(dir string, root *seal.RootKey) (*Backup, error) {
	f, err := os.Open(filepath.Join(dir, BackupManifest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no %s in %s", ErrBackup, BackupManifest, dir)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b Backup
	if err := json.NewDecoder(io.LimitReader(f, maxManifest)).Decode(&b); err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrBackup, BackupManifest, err)
	}
	if b.Format != 1 {
		return nil, fmt.Errorf("%w: its format is %d, and this version knows 1", ErrBackup, b.Format)
	}
	if err := root.Check(b.RootKey); err != nil {
		return nil, err
	}
	want, err := b.seal(root)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal([]byte(want), []byte(b.Seal)) {
		return nil, fmt.Errorf("%w: the seal of %s is not right", ErrBackup, BackupManifest)
	}
	for _, f := range b.Files {
		if !fs.ValidPath(f.Name) || strings.Count(f.Name, "/") > 1 {
			return nil, fmt.Errorf("%w: it names the file %q", ErrBackup, f.Name)
		}
	}
	return &b, nil
}

// drillBodies is how many messages a drill reads to the end.
const drillBodies = 200

// Drill restores a backup into a folder that does not exist yet, holds it against its
// log and reads a sample of its messages to the end. The folder is removed again.
func Drill(ctx context.Context, r Restoring) (d DrillReport, err error) {
	b, err := ReadBackup(r.Backup, r.Root)
	if err != nil {
		return d, err
	}
	d.Made = b.At
	if err := os.Mkdir(r.Dir, 0o700); err != nil {
		return d, diskError(err)
	}
	defer os.RemoveAll(r.Dir)
	report, err := r.unpack(ctx, b, r.Dir)
	if err != nil {
		return d, err
	}
	d.Events, d.Messages, d.Problems = report.Events, report.Messages, len(report.Problems)
	s, err := openStopped(ctx, Config{Dir: r.Dir, Root: r.Root, Now: r.Now})
	if err != nil {
		return d, err
	}
	defer s.closeFiles()
	bad, err := s.readSample(ctx, &d)
	d.Problems += bad
	return d, err
}

// readSample reads the newest messages of every mailbox, and counts what does not open.
func (s *Store) readSample(ctx context.Context, d *DrillReport) (bad int, err error) {
	v := &verification{ctx: ctx, s: s}
	boxes, err := v.mailboxes()
	if err != nil {
		return 0, err
	}
	for _, b := range boxes {
		in, err := s.OpenInbox(ctx, b.org, b.inbox)
		if errors.Is(err, ErrNotFound) {
			continue // erased
		}
		if err != nil {
			return bad, err
		}
		share := max(1, drillBodies/len(boxes))
		err = in.Scan(ctx, b.id, allUIDs, true, func(m *Message) error {
			if share == 0 {
				return nil
			}
			share--
			d.Bodies++
			body, err := in.OpenBody(ctx, m)
			if err == nil {
				_, err = io.Copy(io.Discard, io.NewSectionReader(body, 0, body.Size()))
				body.Close()
			}
			if errors.Is(err, ErrCorrupt) {
				bad++
				return nil
			}
			return err
		})
		if corrupt := (*CorruptError)(nil); err != nil && !errors.As(err, &corrupt) { // those are counted by the verification
			return bad, err
		}
	}
	return bad, nil
}
