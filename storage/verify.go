package storage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// DataReport is what VerifyData found.
type DataReport struct {
	Events      uint64
	Checkpoints uint64
	Rows        uint64 // decisive rows held against the log
	Messages    uint64
	Problems    []audit.Difference // at most about audit.MaxDifferences of each kind, in the order of the checks
}

// OK reports whether nothing is wrong.
func (r *DataReport) OK() bool { return len(r.Problems) == 0 }

// VerifyData holds the data directory of a stopped server against its own log:
// every event against the tree, the tree against every signed checkpoint and the
// witness, and every decisive row and message against the events. It changes
// nothing. ErrLocked says that a server runs; a *[seal.WrongKeyError] that the
// root key is another one.
func VerifyData(ctx context.Context, cfg Config) (*DataReport, error) {
	s, err := openStopped(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer s.closeFiles()
	v := &verification{ctx: ctx, s: s, replay: audit.NewReplay()}
	for _, check := range []func() error{v.events, v.witness, v.records, v.messages, v.bodies} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	v.report.Problems = append(v.report.Problems, v.replay.Differences()...)
	return &v.report, nil
}

// openStopped opens a directory for reading, and does not create what is missing.
func openStopped(ctx context.Context, cfg Config) (*Store, error) {
	if _, err := os.Stat(filepath.Join(cfg.Dir, databaseFile)); err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	s := &Store{cfg: cfg, log: slog.New(slog.DiscardHandler), feed: newFeed()}
	if err := s.openToRead(ctx); err != nil {
		s.closeFiles()
		return nil, err
	}
	return s, nil
}

func (s *Store) openToRead(ctx context.Context) (err error) {
	dir := s.cfg.Dir
	if s.lock, err = takeLock(filepath.Join(dir, lockFile)); err != nil {
		return err
	}
	if s.readers, err = openReaders(ctx, filepath.Join(dir, databaseFile)); err != nil {
		return err
	}
	var root, wrapped []byte
	err = s.read(ctx, func(r *reads) error {
		if err := r.row("SELECT value FROM meta WHERE name = 'root'").Scan(&root); err != nil {
			return found(err)
		}
		return found(r.row("SELECT value FROM meta WHERE name = 'index'").Scan(&wrapped))
	})
	if err != nil {
		return fmt.Errorf("storage: what the installation is: %w", err)
	}
	if err := s.cfg.Root.Check(string(root)); err != nil {
		return err
	}
	if s.index, err = s.cfg.Root.Key().Unwrap(wrapped, indexIdentity); err != nil {
		return fmt.Errorf("%w: index key: %v", ErrCorrupt, err)
	}
	s.events = s.cfg.Root.Key().Derive("event")
	if s.keys, err = openKeys(ctx, filepath.Join(dir, keysFile), s.cfg.Root); err != nil {
		return err
	}
	if s.bodies, err = openBodyFiles(filepath.Join(dir, bodiesDir)); err != nil {
		return err
	}
	return s.loadSigner(ctx)
}

// verification is one run of VerifyData.
type verification struct {
	ctx    context.Context
	s      *Store
	replay *audit.Replay
	report DataReport

	tree  *audit.Tree
	tiles map[int]audit.Tile // newest tile of each level, not yet compared
	notes []string           // checkpoints by size, from the next one on
	sizes []uint64
}

func (v *verification) differ(seq uint64, row, what string) {
	if len(v.report.Problems) < audit.MaxDifferences {
		v.report.Problems = append(v.report.Problems, audit.Difference{Seq: seq, Row: row, What: what})
	}
}

// events reads the log once, in order: builds the tree anew, compares each
// checkpoint at its size, and feeds the replay.
func (v *verification) events() error {
	tree, err := audit.NewTree(0, nil, nil)
	if err != nil {
		return err
	}
	v.tree, v.tiles = tree, map[int]audit.Tile{}
	if err := v.loadCheckpoints(); err != nil {
		return err
	}
	for from := uint64(0); ; {
		rows, err := v.s.eventRows(v.ctx, from, from+exportChunk)
		if err != nil {
			return err
		}
		for i := range rows {
			if err := v.event(&rows[i]); err != nil {
				return err
			}
		}
		if from += exportChunk; len(rows) == 0 {
			more, err := v.later(from)
			if err != nil || more == 0 {
				return errors.Join(err, v.finishTree())
			}
			from = more
		}
	}
}

// later is the first sequence number from one on, 0 when there is none: a gap
// of any length does not hide what is behind it.
func (v *verification) later(from uint64) (seq uint64, err error) {
	var n sql.NullInt64
	err = v.s.read(v.ctx, func(r *reads) error {
		return classify(r.row("SELECT MIN(seq) FROM event WHERE seq >= $1", from).Scan(&n))
	})
	return uint64(n.Int64), err
}

func (v *verification) event(row *sealedEvent) error {
	v.report.Events++
	name := fmt.Sprintf("event %d", row.seq)
	for _, t := range v.tree.Append(audit.LeafHash(row.canonical)) {
		if err := v.tile(t); err != nil {
			return err
		}
	}
	for len(v.sizes) > 0 && v.sizes[0] <= v.tree.Size() {
		v.checkpoint()
	}
	personal, err := v.s.openPersonal(v.ctx, row)
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return err
	}
	if err != nil {
		v.differ(row.seq, name, "its personal fields do not open")
	}
	e, err := audit.DecodeEvent(row.canonical, personal)
	if err != nil {
		v.differ(row.seq, name, err.Error())
		return nil
	}
	e.Seq = row.seq
	if e.ID != row.id || e.Org != row.org.UUID || e.Inbox != row.inbox.UUID {
		v.differ(row.seq, name, "its clear columns are not those of its leaf")
	}
	v.replay.Add(e)
	return nil
}

// tile compares the tile before when a level goes on to the next.
func (v *verification) tile(t audit.Tile) error {
	old, ok := v.tiles[t.Level]
	v.tiles[t.Level] = t
	if ok && old.N != t.N {
		return v.compareTile(old)
	}
	return nil
}

func (v *verification) compareTile(t audit.Tile) error {
	have, err := v.s.Tiles(v.ctx).Tile(t.Level, t.N)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if bytes.Equal(have, t.Hashes) {
		return nil
	}
	at := t.N * audit.TileWidth
	for i := 0; i+32 <= min(len(have), len(t.Hashes)) && bytes.Equal(have[i:i+32], t.Hashes[i:i+32]); i += 32 {
		at++
	}
	if t.Level == 0 {
		v.differ(at, fmt.Sprintf("event %d", at), "it or its leaf in the tree is not what was written")
		return nil
	}
	v.differ(at<<(8*t.Level), fmt.Sprintf("tile %d/%d of the tree", t.Level, t.N), "is not what the events from this one on give")
	return nil
}

// finishTree compares what is left: the newest tiles, the tree's row, and that
// no checkpoint speaks of more events than there are.
func (v *verification) finishTree() error {
	for _, t := range v.tiles {
		if err := v.compareTile(t); err != nil {
			return err
		}
	}
	for _, size := range v.sizes {
		v.differ(v.tree.Size(), fmt.Sprintf("checkpoint %d", size), fmt.Sprintf("the log ends at %d: events were cut from its end", v.tree.Size()))
	}
	var size uint64
	var frontier []byte
	err := v.s.read(v.ctx, func(r *reads) error {
		return found(r.row("SELECT size, frontier FROM tree WHERE id = 1").Scan(&size, &frontier))
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if size != v.tree.Size() || !bytes.Equal(frontier, v.tree.Frontier()) {
		v.differ(min(size, v.tree.Size()), "tree", fmt.Sprintf("its row says %d leaves, and the events give another tree of %d", size, v.tree.Size()))
	}
	return nil
}

func (v *verification) loadCheckpoints() error {
	return v.s.read(v.ctx, func(r *reads) error {
		rows, err := r.rows("SELECT size, note FROM checkpoint ORDER BY size")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var size uint64
			var note string
			if err := rows.Scan(&size, &note); err != nil {
				return classify(err)
			}
			v.sizes, v.notes = append(v.sizes, size), append(v.notes, note)
		}
		return classify(rows.Err())
	})
}

// checkpoint compares the next checkpoint with the tree, which has its size.
func (v *verification) checkpoint() {
	size, note := v.sizes[0], v.notes[0]
	v.sizes, v.notes = v.sizes[1:], v.notes[1:]
	v.report.Checkpoints++
	name := fmt.Sprintf("checkpoint %d", size)
	verifier, err := audit.OpenVerifier(v.s.PublicKey())
	if err != nil {
		v.differ(size, name, err.Error())
		return
	}
	cp, err := audit.OpenCheckpoint(note, verifier)
	switch {
	case err != nil:
		v.differ(size, name, "its signature is not this log's: "+err.Error())
	case cp.Size != size:
		v.differ(size, name, fmt.Sprintf("it signs a tree of %d", cp.Size))
	case cp.Size == v.tree.Size() && cp.Root != v.tree.Root():
		v.differ(size, name, "an event before it is not the one that was signed")
	}
}

// witness holds the tree against the checkpoint beside the root key.
func (v *verification) witness() error {
	if v.s.cfg.Witness == "" {
		return nil
	}
	text, err := os.ReadFile(v.s.cfg.Witness)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("storage: witness: %w", err)
	}
	if broken := v.s.extends(v.ctx, v.tree, string(text)); broken != nil {
		v.differ(min(broken.Size, broken.Witness), "witness", broken.Error())
	}
	return nil
}

// hint compares a clear column with the sealed record that it points to.
type hint func(s *Store, row sealedRow, column []byte) (same bool, err error)

// decisive are the tables of records, each with the column by which a record is
// found: a column that points elsewhere would give somebody another's rights.
var decisive = []struct {
	table, column string
	hint          hint
}{
	{"organization", "id", nil},
	{"domain", "name_hash", func(s *Store, row sealedRow, column []byte) (bool, error) {
		var d Domain
		err := s.openRecord(context.Background(), "domain", row, &d)
		return bytes.Equal(column, s.hashName("domain", d.Name)), err
	}},
	{"domain_check", "id", nil},
	{"dkim_key", "domain", func(s *Store, row sealedRow, column []byte) (bool, error) {
		var k DKIMKey
		err := s.openRecord(context.Background(), "dkim_key", row, &k)
		return bytes.Equal(column, k.Domain[:]), err
	}},
	{"agent", "name_hash", func(s *Store, row sealedRow, column []byte) (bool, error) {
		var a Agent
		if err := s.openRecord(context.Background(), "agent", row, &a); err != nil {
			return false, err
		}
		hash, err := s.hashAgent(context.Background(), a.Org, a.Name)
		return bytes.Equal(column, hash), err
	}},
	{"credential", "token_hash", func(s *Store, row sealedRow, column []byte) (bool, error) {
		var c Credential
		err := s.openRecord(context.Background(), "credential", row, &c)
		return bytes.Equal(column, c.TokenHash), err
	}},
	{"freeze", "target", func(s *Store, row sealedRow, column []byte) (bool, error) {
		var f Freeze
		err := s.openRecord(context.Background(), "freeze", row, &f)
		return bytes.Equal(column, f.Target[:]), err
	}},
	{"inbox", "address_hash", func(s *Store, row sealedRow, column []byte) (bool, error) {
		var in InboxRecord
		err := s.openRecord(context.Background(), "inbox", row, &in)
		return bytes.Equal(column, s.hashName("address", in.Address)), err
	}},
	{"outgoing", "state", func(s *Store, row sealedRow, column []byte) (bool, error) {
		var o Outgoing
		err := s.openRecord(context.Background(), "outgoing", row, &o)
		return string(column) == fmt.Sprint(int(o.State)), err
	}},
	{"person", "address_hash", func(s *Store, row sealedRow, column []byte) (bool, error) {
		var p Person
		err := s.openRecord(context.Background(), "person", row, &p)
		return bytes.Equal(column, s.hashName("person", p.Address)), err
	}},
	{"person_session", "token_hash", func(s *Store, row sealedRow, column []byte) (bool, error) {
		var ps PersonSession
		err := s.openRecord(context.Background(), "person_session", row, &ps)
		return bytes.Equal(column, ps.TokenHash), err
	}},
	{"passkey", "credential_hash", func(s *Store, row sealedRow, column []byte) (bool, error) {
		var k Passkey
		err := s.openRecord(context.Background(), "passkey", row, &k)
		return bytes.Equal(column, s.hashCredential(k.Credential)), err
	}},
	{"invitation", "token_hash", func(s *Store, row sealedRow, column []byte) (bool, error) {
		var in Invitation
		err := s.openRecord(context.Background(), "invitation", row, &in)
		return bytes.Equal(column, in.TokenHash), err
	}},
	{"consent", "act_hash", func(s *Store, row sealedRow, column []byte) (bool, error) {
		var c Consent
		if err := s.openRecord(context.Background(), "consent", row, &c); err != nil {
			return false, err
		}
		hash, err := s.hashAct(context.Background(), c.Org, c.Act)
		return bytes.Equal(column, hash), err
	}},
	{"alert", "state", func(s *Store, row sealedRow, column []byte) (bool, error) {
		var a Alert
		err := s.openRecord(context.Background(), "alert", row, &a)
		return string(column) == string(a.State), err
	}},
	{"policy", "target", func(s *Store, row sealedRow, column []byte) (bool, error) {
		var p Policy
		err := s.openRecord(context.Background(), "policy", row, &p)
		return bytes.Equal(column, p.Target[:]), err
	}},
	{"approval", "inbox", approvalHint},
	{"taint", "id", nil},
	{"captured", "inbox", capturedHint},
	{"webhook", "state", func(s *Store, row sealedRow, column []byte) (bool, error) {
		var w Webhook
		err := s.openRecord(context.Background(), "webhook", row, &w)
		return string(column) == string(w.State), err
	}},
	{"certificate_file", "name_hash", func(s *Store, row sealedRow, column []byte) (bool, error) {
		var f CertificateFile
		err := s.openRecord(context.Background(), "certificate_file", row, &f)
		return bytes.Equal(column, s.hashName("certificate_file", f.Name)), err
	}},
	{"sts_policy", "dest_hash", func(s *Store, row sealedRow, column []byte) (bool, error) {
		var p STSPolicy
		if err := s.openRecord(context.Background(), "sts_policy", row, &p); err != nil {
			return false, err
		}
		hash, err := s.hashDestination(context.Background(), p.Org, p.Domain)
		return bytes.Equal(column, hash), err
	}},
	{"report", "hash", reportHint},
	{"quarantine", "state", quarantineHint},
	{"mark", "message", markHint},
	{"allowance", "inbox", allowanceHint},
	{"setup", "id", nil},
	{"glass", "message", glassHint},
	{"mailbox", "inbox", nil}, // opened with its inbox, by messages
}

// records shows every decisive row to the replay.
func (v *verification) records() error {
	for _, d := range decisive {
		after := uuid.Nil
		for {
			rows, columns, err := v.recordRows(d.table, d.column, after)
			if err != nil {
				return err
			}
			for i, row := range rows {
				v.report.Rows++
				v.replay.Row(d.table, row.head.ID[:], row.head.Version, sha256.Sum256(row.sealed))
				if err := v.checkHint(d.table, d.column, d.hint, row, columns[i]); err != nil {
					return err
				}
				after = row.head.ID
			}
			if len(rows) < exportChunk {
				break
			}
		}
	}
	return v.indexKey()
}

func (v *verification) checkHint(table, column string, h hint, row sealedRow, value []byte) error {
	if h == nil {
		return nil
	}
	same, err := h(v.s, row, value)
	name := table + " " + row.head.ID.String()
	switch {
	case errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNotFound):
		v.differ(audit.NoEvent, name, "its record does not open")
	case err != nil:
		return err
	case !same:
		v.differ(audit.NoEvent, name, "its column "+column+" is not that of its record")
	}
	return nil
}

func (v *verification) recordRows(table, column string, after uuid.UUID) (rows []sealedRow, columns [][]byte, err error) {
	err = v.s.read(v.ctx, func(r *reads) error {
		rs, err := r.rows("SELECT "+headColumns+", "+column+" FROM "+table+" WHERE id > $1 ORDER BY id LIMIT $2", after[:], exportChunk)
		if err != nil {
			return err
		}
		defer rs.Close()
		for rs.Next() {
			var column []byte
			row, err := scanHead(rs, &column)
			if err != nil {
				return err
			}
			rows, columns = append(rows, row), append(columns, column)
		}
		return classify(rs.Err())
	})
	return rows, columns, err
}

// indexKey shows the one decisive row that is no record.
func (v *verification) indexKey() error {
	return v.s.read(v.ctx, func(r *reads) error {
		var wrapped []byte
		if err := r.row("SELECT value FROM meta WHERE name = 'index'").Scan(&wrapped); err != nil {
			return found(err)
		}
		v.replay.Row("meta", []byte("index"), 1, sha256.Sum256(wrapped))
		return nil
	})
}

// messages shows each mailbox's UIDs to the replay, opens every message's
// sealed content and recounts the counters.
func (v *verification) messages() error {
	boxes, err := v.mailboxes()
	if err != nil {
		return err
	}
	for _, b := range boxes {
		in, err := v.s.OpenInbox(v.ctx, b.org, b.inbox)
		switch {
		case errors.Is(err, ErrNotFound):
			err = v.removed(b)
		case err == nil:
			err = v.mailbox(in, b.id)
		}
		if errors.Is(err, ErrCorrupt) {
			v.differ(audit.NoEvent, "mailbox "+b.id.String(), err.Error())
		} else if err != nil {
			return err
		}
	}
	return nil
}

// removed shows a mailbox that does not open: of an inbox whose erasure was cut
// short, or, if the inbox is still there, of one whose key somebody took away.
func (v *verification) removed(b mailboxRef) error {
	_, err := v.s.InboxRecord(v.ctx, b.org, b.inbox)
	if err == nil {
		v.differ(audit.NoEvent, "inbox "+b.inbox.String(), "its key is gone, and nothing in it can be read")
	} else if !errors.Is(err, ErrNotFound) {
		return err
	}
	var have audit.UIDs
	err = v.each("SELECT place FROM message WHERE place BETWEEN $1 AND $2", func(at int64) { have.Add(uint32(at), uint32(at)) },
		place(b.no, allUIDs[0].First), place(b.no, allUIDs[0].Last))
	v.replay.Messages(b.id, have)
	return err
}

type mailboxRef struct {
	id, inbox, org uuid.UUID
	no             int64
}

func (v *verification) mailboxes() (all []mailboxRef, err error) {
	err = v.s.read(v.ctx, func(r *reads) error {
		rows, err := r.rows("SELECT id, inbox, org, no FROM mailbox ORDER BY inbox, id")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var b mailboxRef
			if err := rows.Scan(&b.id, &b.inbox, &b.org, &b.no); err != nil {
				return classify(err)
			}
			all = append(all, b)
		}
		return classify(rows.Err())
	})
	return all, err
}

func (v *verification) mailbox(in *Inbox, id uuid.UUID) error {
	box, err := in.Mailbox(v.ctx, id)
	if err != nil {
		return err
	}
	var have audit.UIDs
	count := Mailbox{}
	err = in.Scan(v.ctx, id, []UIDRange{{First: 1, Last: 1<<32 - 1}}, true, func(m *Message) error {
		v.report.Messages++
		have.Add(m.UID, m.UID)
		if m.Content.scorings > 0 {
			v.replay.Content(id, m.UID, m.Content.scorings)
		}
		count.Messages++
		count.Bytes += m.Size
		if m.Flags&Seen == 0 {
			count.Unseen++
		}
		if m.Flags&Deleted != 0 {
			count.Deleted++
		}
		if m.UID >= box.UIDNext || m.Modseq > box.Modseq {
			v.differ(audit.NoEvent, fmt.Sprintf("message %d of mailbox %s", m.UID, id), "is beyond the mailbox's counters")
		}
		return nil
	})
	var corrupt *CorruptError
	if errors.As(err, &corrupt) {
		for _, uid := range corrupt.UIDs {
			v.differ(audit.NoEvent, fmt.Sprintf("message %d of mailbox %s", uid, id), "its content does not open")
			have.Add(uid, uid)
		}
	} else if err != nil {
		return err
	}
	v.replay.Messages(id, have)
	if err := v.renditions(in, id); err != nil {
		return err
	}
	if corrupt == nil && (count.Messages != box.Messages || count.Bytes != box.Bytes || count.Unseen != box.Unseen || count.Deleted != box.Deleted) {
		v.differ(audit.NoEvent, "mailbox "+id.String(), "its counters are not the sums of its messages")
	}
	return nil
}

// renditions opens what the safe view shows of a mailbox. A message without is none
// that differs: nobody has asked for it.
func (v *verification) renditions(in *Inbox, id uuid.UUID) error {
	if n, err := in.RenditionBytes(v.ctx, id); err != nil || n == 0 {
		return err
	}
	missing, err := in.Unrendered(v.ctx, id, allUIDs, math.MaxInt)
	if err != nil {
		return err
	}
	var without audit.UIDs
	for _, r := range missing {
		without.Add(r.First, r.Last)
	}
	err = in.Safe().Scan(v.ctx, id, allUIDs, true, func(*Message) error { return nil })
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) {
		return err
	}
	for _, uid := range corrupt.UIDs {
		if !without.Contains(uid) {
			v.differ(audit.NoEvent, fmt.Sprintf("message %d of mailbox %s", uid, id), "what the safe view shows of it does not open")
		}
	}
	return nil
}

// bodies checks that every message and queue row has its body, that every body
// kept in a file has that file in its full length, and that references are
// counted right.
func (v *verification) bodies() error {
	err := v.each(`SELECT m.body FROM message m LEFT JOIN body b ON b.no = m.body WHERE b.no IS NULL
		UNION SELECT o.body FROM outgoing o LEFT JOIN body b ON b.no = o.body WHERE b.no IS NULL
		UNION SELECT c.body FROM captured c LEFT JOIN body b ON b.no = c.body WHERE b.no IS NULL
		UNION SELECT r.body FROM rendition r LEFT JOIN body b ON b.no = r.body WHERE b.no IS NULL`,
		func(no int64) { v.differ(audit.NoEvent, fmt.Sprintf("body %d", no), "is gone, and a row refers to it") })
	if err != nil {
		return err
	}
	err = v.each(`SELECT b.no FROM body b LEFT JOIN body_ref f ON f.no = b.no LEFT JOIN
		(SELECT body, COUNT(*) AS n FROM (SELECT body FROM message UNION ALL SELECT body FROM outgoing UNION ALL SELECT body FROM captured
		UNION ALL SELECT body FROM rendition) AS uses GROUP BY body) AS used ON used.body = b.no
		WHERE COALESCE(f.refs, 1) <> COALESCE(used.n, 0)`,
		func(no int64) {
			v.differ(audit.NoEvent, fmt.Sprintf("body %d", no), "its references are counted wrong")
		})
	if err != nil {
		return err
	}
	err = v.each(`SELECT b.no FROM body b WHERE b.file IS NULL AND b.stored <> LENGTH(b.sealed) +
		COALESCE((SELECT SUM(LENGTH(r.sealed)) FROM body_rest r WHERE r.place > b.no * 256 AND r.place < b.no * 256 + 256), 0)
		UNION SELECT r.place / 256 FROM body_rest r LEFT JOIN body b ON b.no = r.place / 256 WHERE b.no IS NULL`,
		func(no int64) { v.differ(audit.NoEvent, fmt.Sprintf("body %d", no), "has another length") })
	if err != nil {
		return err
	}
	err = v.each("SELECT r.place FROM rendition r LEFT JOIN message m ON m.place = r.place WHERE m.place IS NULL",
		func(at int64) { v.differ(audit.NoEvent, fmt.Sprintf("rendition %d", at), "is of no message") })
	if err != nil {
		return err
	}
	return v.bodyFiles()
}

func (v *verification) each(query string, fn func(int64), args ...any) error {
	return v.s.read(v.ctx, func(r *reads) error {
		rows, err := r.rows(query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var n int64
			if err := rows.Scan(&n); err != nil {
				return classify(err)
			}
			fn(n)
		}
		return classify(rows.Err())
	})
}

func (v *verification) bodyFiles() error {
	type bodyFile struct {
		no, stored int64
		name       string
	}
	var files []bodyFile
	err := v.s.read(v.ctx, func(r *reads) error {
		rows, err := r.rows("SELECT no, stored, file FROM body WHERE file IS NOT NULL ORDER BY no")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var f bodyFile
			if err := rows.Scan(&f.no, &f.stored, &f.name); err != nil {
				return classify(err)
			}
			files = append(files, f)
		}
		return classify(rows.Err())
	})
	if err != nil {
		return err
	}
	for _, f := range files {
		st, err := os.Stat(filepath.Join(v.s.cfg.Dir, bodiesDir, f.name))
		switch {
		case err != nil || strings.ContainsRune(f.name, '/'):
			v.differ(audit.NoEvent, fmt.Sprintf("body %d", f.no), "its file is gone")
		case st.Size() != f.stored:
			v.differ(audit.NoEvent, fmt.Sprintf("body %d", f.no), "its file has another length")
		}
	}
	return nil
}
