package storage

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// Bounds of a taint.
const (
	// MaxTaint is the longest that one reading taints an agent, whatever policy
	// says: what is older is forgotten.
	MaxTaint = 24 * time.Hour
	// taintGrain is how old the last reading of a message is before another one
	// is noted. During counts it in, so that a taint is never shorter than asked.
	taintGrain = time.Minute

	maxTaintSources = 64 // messages; beyond, all senders are under suspicion
	maxSenders      = 16 // of one message
)

// Taint is what an agent read lately that may have been written to steer it. It
// belongs to the agent and not to a credential or an inbox, and what becomes of
// the messages afterwards does not change it. Head.ID is the agent's. // PI-5
type Taint struct {
	Head
	Sources []TaintSource `json:"sources"` // in the order of their first reading
	// Crowded is when there were last more messages than are kept; zero: never.
	Crowded time.Time `json:"crowded,omitzero"`
}

// TaintSource is one message that taints.
type TaintSource struct {
	Inbox   uuid.UUID `json:"inbox"`
	Message uuid.UUID `json:"message"`
	First   time.Time `json:"first"` // reading
	Last    time.Time `json:"last"`
	// Senders are keyed hashes under a key of the inbox, of return path, From,
	// Reply-To and Sender. More than maxSenders are everybody.
	Senders [][]byte `json:"senders,omitempty"`
}

// During says whether the agent is tainted at a time, when one reading taints it
// for d (at most MaxTaint), and since when: the first reading of an unbroken
// row of them.
func (t *Taint) During(d time.Duration, now time.Time) (since time.Time, tainted bool) {
	if d <= 0 {
		return time.Time{}, false
	}
	d = min(d, MaxTaint) + taintGrain
	since = now
	for found := true; found; { // a source may carry on what another one began
		found = false
		for _, s := range t.Sources {
			if s.Last.Add(d).Before(since) || tainted && !s.First.Before(since) {
				continue
			}
			if s.First.Before(since) {
				since = s.First
			}
			tainted, found = true, true
		}
	}
	if !tainted && t.crowdedAt(now, d) {
		return t.Crowded, true
	}
	return since, tainted
}

func (t *Taint) crowdedAt(now time.Time, d time.Duration) bool {
	return !t.Crowded.IsZero() && now.Before(t.Crowded.Add(d))
}

// Taint finds an agent's taint; the zero value when it never had one. Whether it
// lasts, During says.
func (s *Store) Taint(ctx context.Context, org, agent uuid.UUID) (Taint, error) {
	t, err := find[Taint](ctx, s, "taint", "org = $1 AND id = $2", org[:], agent[:])
	if errors.Is(err, ErrNotFound) {
		return Taint{}, nil
	}
	return t, err
}

// Taint is Store.Taint as this transaction sees it.
func (tx *Tx) Taint(org, agent uuid.UUID) (Taint, error) {
	var t Taint
	row, err := scanHead(tx.row("SELECT "+headColumns+" FROM taint WHERE org = $1 AND id = $2", org[:], agent[:]))
	if errors.Is(err, ErrNotFound) {
		return t, nil
	}
	if err == nil {
		err = tx.store().openRecord(context.Background(), "taint", row, &t)
	}
	return t, err
}

// TaintedBy reports whether an address wrote one of the messages of a taint. Where
// that cannot be told any more, as when there were too many or their inbox was
// erased, it might have.
func (s *Store) TaintedBy(ctx context.Context, t *Taint, address string) (bool, error) {
	if !t.Crowded.IsZero() {
		return true, nil
	}
	for i := range t.Sources {
		src := &t.Sources[i]
		if len(src.Senders) > maxSenders {
			return true, nil
		}
		keys, err := s.inboxKeysOf(ctx, t.Org, src.Inbox)
		if errors.Is(err, ErrNotFound) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		hash := (&Inbox{keys: keys}).hashAddress(address)
		if slices.ContainsFunc(src.Senders, func(h []byte) bool { return bytes.Equal(h, hash) }) {
			return true, nil
		}
	}
	return false, nil
}

// sendersOf hashes who wrote a message, each once: one more than maxSenders says
// that there are more.
func (in *Inbox) sendersOf(addresses []string) (hashes [][]byte) {
	for _, a := range addresses {
		if len(hashes) > maxSenders {
			break
		}
		hash := in.hashAddress(a)
		if !slices.ContainsFunc(hashes, func(h []byte) bool { return bytes.Equal(h, hash) }) {
			hashes = append(hashes, hash)
		}
	}
	return hashes
}

// tainting is the query for what taints among messages: an index holds those
// alone. The number is Tainting; as a parameter no index would serve.
const tainting = "SELECT place FROM message WHERE box = $1 AND place BETWEEN $2 AND $3 AND (flags & 131072) <> 0 ORDER BY place"

// taint sets the taint of the agent that reads messages, if one of them taints,
// in the transaction of the reading: no moment lies between the two. A search
// reveals no text and comes here with another verb. // PI-5
func (tx *Tx) taint(e *audit.Event, in *Inbox, box int64, mailbox uuid.UUID, read audit.UIDs) error {
	if e.Verb != audit.MessageRead || tx.op.actor.Kind != audit.Agent || len(read) == 0 {
		return nil
	}
	uids, err := tx.taintingIn(box, read)
	if err != nil || len(uids) == 0 {
		return err
	}
	t, err := tx.Taint(in.record.Org, tx.op.actor.ID)
	if err != nil {
		return err
	}
	t.Org, t.ID = in.record.Org, tx.op.actor.ID
	old := tx.now.Add(-MaxTaint - taintGrain)
	t.Sources = slices.DeleteFunc(t.Sources, func(s TaintSource) bool { return s.Last.Before(old) })
	if t.Crowded.Before(old) {
		t.Crowded = time.Time{}
	}
	changed := false
	for _, uid := range uids {
		c, err := tx.contentOf(in, box, mailbox, uid)
		if err != nil {
			return err
		}
		if t.read(in.record.ID, c.id, c.Senders, tx.now) {
			changed = true
		}
	}
	if !changed {
		return nil
	}
	return tx.putTaint(in, &t, uids)
}

// read notes the reading of a message, and reports whether that was news.
func (t *Taint) read(inbox, message uuid.UUID, senders [][]byte, now time.Time) bool {
	i := slices.IndexFunc(t.Sources, func(s TaintSource) bool { return s.Message == message && s.Inbox == inbox })
	switch {
	case i >= 0 && now.Sub(t.Sources[i].Last) < taintGrain:
		return false
	case i >= 0:
		t.Sources[i].Last = now
	case len(t.Sources) < maxTaintSources:
		t.Sources = append(t.Sources, TaintSource{Inbox: inbox, Message: message, First: now, Last: now, Senders: senders})
	case now.Sub(t.Crowded) < taintGrain:
		return false
	default:
		t.Crowded = now
	}
	return true
}

// taintingIn lists the UIDs of a set that taint: as many as a taint remembers,
// and one that says that there are more.
func (tx *Tx) taintingIn(box int64, set audit.UIDs) (uids []uint32, err error) {
	rows, err := tx.rows(tainting, box, place(box, set[0].First), place(box, set[len(set)-1].Last))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() && len(uids) <= maxTaintSources {
		var at int64
		if err := rows.Scan(&at); err != nil {
			return nil, classify(err)
		}
		if set.Contains(uint32(at)) {
			uids = append(uids, uint32(at))
		}
	}
	return uids, classify(rows.Err())
}

// contentOf opens the content of a message inside a transaction.
func (tx *Tx) contentOf(in *Inbox, box int64, mailbox uuid.UUID, uid uint32) (c sealedContent, err error) {
	plain, err := tx.reveal(in, mailbox, box, uid)
	if err != nil {
		return c, err
	}
	return c, c.decode(plain)
}

// putTaint writes the taint, and the event that says what it came from.
func (tx *Tx) putTaint(in *Inbox, t *Taint, uids []uint32) error {
	actor := tx.op.actor
	e := tx.Record(audit.Event{
		Verb: audit.AgentTainted, Outcome: audit.OK,
		Org: t.Org, Agent: t.ID, Credential: actor.Credential, Inbox: in.record.ID,
		Fields: audit.Fields{audit.Int(audit.KeyCount, len(uids))},
	})
	for _, s := range t.Sources {
		if !s.Last.Equal(tx.now) || len(e.Fields) > maxTaintSources/2 {
			continue
		}
		e.Object = s.Message
		e.Fields = append(e.Fields, audit.ID(audit.KeyMessage, s.Message))
	}
	sealed, err := tx.sealRecord(e, "taint", t)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO taint (id, org, version, event, sealed) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (id) DO UPDATE SET version = excluded.version, event = excluded.event, sealed = excluded.sealed`,
		t.ID[:], t.Org[:], t.Version, t.Event[:], sealed)
}
