package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// Search selects events of one organization and of the installation: those for which
// all conditions hold.
type Search struct {
	Org          uuid.UUID
	Conditions   []Condition
	Since, Until time.Time // [Since, Until); zero: no bound
	From, To     uint64    // sequence numbers [From, To); To zero: to the end
	Newest       bool      // newest first
	Limit        int       // at most this many; zero: 500
}

// Found is a part of what a search finds, in its order.
type Found struct {
	Events []audit.Event
	More   bool   // there may be more: go on with To, or with Newest with From, at Next
	Next   uint64 // up to where, or from where on, nothing was looked at
}

// Bounds of one search. What lies beyond is left to the next, from where this one ended.
const (
	maxMade   = 12     // blocks of which columns are made, since none are stored
	maxOpened = 20_000 // events that are opened and turn out not to be meant
	maxNamed  = 50_000 // events of one object or Message-ID that are known beforehand
	maxGroup  = 64     // blocks that are looked through between two looks at the clock
)

// Holds reports whether an event is one that is searched for.
func (q *Search) Holds(e *audit.Event) bool {
	return (e.Org == q.Org || e.Org == uuid.Nil) && e.Seq >= q.From && (q.To == 0 || e.Seq < q.To) &&
		(q.Since.IsZero() || !e.Time.Before(q.Since)) && (q.Until.IsZero() || e.Time.Before(q.Until)) &&
		!slices.ContainsFunc(q.Conditions, func(c Condition) bool { return !c.Holds(e) })
}

// Search finds events. It looks through the columns of whole blocks, opens what these
// point to, and holds each event against the search: a column that was tampered with
// hides an event at the most, and shows none. // AU-10
func (s *Store) Search(ctx context.Context, q Search) (Found, error) {
	if q.Limit <= 0 {
		q.Limit = 500
	}
	x, err := s.examine(ctx, &q)
	if err != nil {
		return Found{}, err
	}
	f := Found{Events: []audit.Event{}}
	opened := 0
	err = x.walk(ctx, func(b *eventBlock, marked *bitmap) (bool, error) {
		return s.collect(ctx, x, b, marked, &f, &opened)
	})
	if x.cut && !f.More {
		f.More, f.Next = true, x.next
	}
	return f, err
}

// collect opens the marked events of a block and keeps those that are meant. It
// returns false when there is enough.
func (s *Store) collect(ctx context.Context, x *examination, b *eventBlock, marked *bitmap, f *Found, opened *int) (more bool, err error) {
	q := x.q
	more = true
	marked.each(q.Newest, func(i int) bool {
		seq := b.no*blockEvents + uint64(i)
		if len(f.Events) == q.Limit || *opened >= maxOpened {
			f.More, f.Next, more = true, seq, false
			if q.Newest {
				f.Next = seq + 1
			}
			return false
		}
		var e *audit.Event
		if e, err = s.Event(ctx, seq); err != nil {
			return false
		}
		if *opened++; q.Holds(e) {
			f.Events = append(f.Events, *e)
			*opened--
		}
		return true
	})
	return more && err == nil, err
}

// Event reads one event.
func (s *Store) Event(ctx context.Context, seq uint64) (*audit.Event, error) {
	var row sealedEvent
	err := s.look(ctx, func(r *reads) error {
		return found(r.row("SELECT "+eventColumns+" FROM event WHERE seq = $1", seq).Scan(&row.seq, &row.id, &row.org, &row.inbox, &row.canonical, &row.sealed))
	})
	if err != nil {
		return nil, err
	}
	return s.openEvent(ctx, &row)
}

// examination is a search under way.
type examination struct {
	s     *Store
	q     *Search
	size  uint64 // of the log
	from  uint64 // sequence numbers [from, to)
	to    uint64
	tests []test
	kinds []kind
	cut   bool   // it ended before the end
	next  uint64 // where to go on then
	made  int    // blocks of which columns were made
	exact bool   // what the columns mark is what is meant
}

// test marks the events of a block that pass, or may pass.
type test struct {
	kinds []kind
	mark  func(b *eventBlock) bitmap
}

// examine makes the tests of a search.
func (s *Store) examine(ctx context.Context, q *Search) (*examination, error) {
	x := &examination{s: s, q: q, exact: true}
	var err error
	if x.size, err = s.logSize(ctx); err != nil {
		return nil, err
	}
	x.from, x.to = q.From, x.size
	if q.To > 0 {
		x.to = min(x.to, q.To)
	}
	x.tests = append(x.tests, test{[]kind{kindOrg}, func(b *eventBlock) bitmap {
		others := b.columns[kindOrg].matching(func(v []byte) bool { return uuid.UUID(v) != q.Org })
		others.not()
		return others
	}})
	if !q.Since.IsZero() || !q.Until.IsZero() {
		x.tests = append(x.tests, x.within())
	}
	hashes := &scopedHashes{s: s, org: q.Org}
	for i := range q.Conditions {
		t, err := x.test(ctx, &q.Conditions[i], hashes)
		if err != nil {
			return nil, err
		}
		if t.mark != nil {
			x.tests = append(x.tests, t)
		}
	}
	for _, t := range x.tests {
		x.kinds = append(x.kinds, t.kinds...)
	}
	slices.Sort(x.kinds)
	x.kinds = slices.Compact(x.kinds)
	return x, nil
}

// within marks what may lie between Since and Until: whole seconds.
func (x *examination) within() test {
	since, until := uint32(0), ^uint32(0)
	if !x.q.Since.IsZero() {
		since = uint32(max(0, x.q.Since.Unix()))
	}
	if !x.q.Until.IsZero() {
		until = uint32(max(0, x.q.Until.Unix()))
	}
	return test{[]kind{kindSecond}, func(b *eventBlock) bitmap {
		return b.columns[kindSecond].matching(func(v []byte) bool {
			at := binary.BigEndian.Uint32(v)
			return at >= since && at <= until
		})
	}}
}

// test is what a condition asks of columns; none when these cannot tell anything.
func (x *examination) test(ctx context.Context, c *Condition, hashes *scopedHashes) (test, error) {
	var t test
	var marks []func(b *eventBlock) bitmap
	exact := true
	for _, v := range c.Values {
		kinds, mark, sure, err := x.value(ctx, c.Field, v, hashes)
		if err != nil {
			return t, err
		}
		if mark == nil { // this one value might be that of any event
			x.exact = false
			return test{}, nil
		}
		exact = exact && sure
		t.kinds, marks = append(t.kinds, kinds...), append(marks, mark)
	}
	if !exact {
		x.exact = false
		if c.Not { // what is marked may be meant all the same
			return test{}, nil
		}
	}
	t.mark = func(b *eventBlock) (all bitmap) {
		for _, mark := range marks {
			some := mark(b)
			all.or(&some)
		}
		if c.Not {
			all.not()
		}
		return all
	}
	return t, nil
}

// value marks the events that have one value, or with sure false some others too;
// nil when columns cannot tell.
func (x *examination) value(ctx context.Context, f Field, v Value, hashes *scopedHashes) (kinds []kind, mark func(b *eventBlock) bitmap, sure bool, err error) {
	is := func(k kind, want []byte) ([]kind, func(b *eventBlock) bitmap, bool, error) {
		return []kind{k}, func(b *eventBlock) bitmap {
			return b.columns[k].matching(func(have []byte) bool { return string(have) == string(want) })
		}, true, nil
	}
	id := func(k kind) ([]kind, func(b *eventBlock) bitmap, bool, error) { return is(k, v.ID[:]) }
	hashed := func(k kind, text string, sure bool) ([]kind, func(b *eventBlock) bitmap, bool, error) {
		wanted, err := hashes.of(ctx, k, text)
		return []kind{k}, func(b *eventBlock) bitmap {
			return b.columns[k].matching(wanted.has)
		}, sure, err
	}
	switch f {
	case FieldVerb:
		return is(kindVerb, binary.LittleEndian.AppendUint16(nil, uint16(v.Number)))
	case FieldResult:
		return is(kindResult, []byte{byte(v.Number)})
	case FieldAgent:
		return id(kindAgent)
	case FieldCredential:
		return id(kindCredential)
	case FieldInbox:
		return id(kindInbox)
	case FieldObject:
		return x.object(ctx, v.ID)
	case FieldActor:
		switch {
		case v.Number != 0:
			return is(kindActor, []byte{byte(v.Number)})
		case v.ID != uuid.Nil:
			return id(kindActorID)
		}
		return hashed(kindActorName, v.Text, true)
	case FieldNetwork:
		k, wider, sure, ok := level(v.Network)
		if !ok {
			return nil, nil, false, nil
		}
		return hashed(k, networkText(wider), sure)
	case FieldMessage:
		if v.ID != uuid.Nil {
			return x.object(ctx, v.ID)
		}
		return x.messageID(ctx, v.Text)
	case FieldTrigger:
		if v.ID != uuid.Nil {
			return id(kindAnswers)
		}
		return x.trigger(ctx, v.Text, hashes)
	}
	return nil, nil, false, nil
}

// trigger marks what was caused by a kind of trigger, or by this one.
func (x *examination) trigger(ctx context.Context, text string, hashes *scopedHashes) ([]kind, func(b *eventBlock) bitmap, bool, error) {
	word := make([]byte, wordWidth)
	copy(word, text)
	wanted, err := hashes.of(ctx, kindCause, text)
	return []kind{kindTrigger, kindCause}, func(b *eventBlock) bitmap {
		found := b.columns[kindTrigger].matching(func(have []byte) bool { return string(have) == string(word) })
		causes := b.columns[kindCause].matching(wanted.has)
		found.or(&causes)
		return found
	}, len(text) <= wordWidth, err
}

// object marks the events about an object, by the index of the table of events.
func (x *examination) object(ctx context.Context, id uuid.UUID) ([]kind, func(b *eventBlock) bitmap, bool, error) {
	seqs, err := x.seqs(ctx, nil, "object = $1", id[:])
	if err != nil || len(seqs) > maxNamed {
		return nil, nil, false, err
	}
	return nil, markSeqs(seqs), true, nil
}

// messageID marks the events that name a Message-ID.
func (x *examination) messageID(ctx context.Context, id string) ([]kind, func(b *eventBlock) bitmap, bool, error) {
	hashes, err := x.s.messageIDHashes(ctx, x.q.Org, id)
	if err != nil {
		return nil, nil, false, err
	}
	var seqs []uint64
	for group := range slices.Chunk(hashes, midGroup) {
		args := make([]any, len(group))
		for i, h := range group {
			args[i] = h
		}
		if seqs, err = x.seqs(ctx, seqs, "mid IN ("+placeholders(len(group))+")", args...); err != nil || len(seqs) > maxNamed {
			return nil, nil, false, err
		}
	}
	slices.Sort(seqs)
	return nil, markSeqs(seqs), true, nil
}

// placeholders are "$1, $2, …".
func placeholders(n int) string {
	b := []byte("$1")
	for i := 2; i <= n; i++ {
		b = append(b, ", $"...)
		b = strconv.AppendInt(b, int64(i), 10)
	}
	return string(b)
}

// seqs adds the sequence numbers of what an index points to, no more than are of use.
func (x *examination) seqs(ctx context.Context, seqs []uint64, where string, args ...any) ([]uint64, error) {
	err := x.s.look(ctx, func(r *reads) error {
		rows, err := r.rows("SELECT seq FROM event WHERE "+where+" ORDER BY seq LIMIT 50001", args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var seq uint64
			if err := rows.Scan(&seq); err != nil {
				return classify(err)
			}
			seqs = append(seqs, seq)
		}
		return classify(rows.Err())
	})
	return seqs, err
}

// markSeqs marks events by their numbers, which are sorted.
func markSeqs(seqs []uint64) func(b *eventBlock) bitmap {
	return func(b *eventBlock) (marked bitmap) {
		first := b.no * blockEvents
		at, _ := slices.BinarySearch(seqs, first)
		for ; at < len(seqs) && seqs[at] < first+blockEvents; at++ {
			marked.set(int(seqs[at] - first))
		}
		return marked
	}
}

// scopedHashes are the hashes of a personal value under each key under which events
// of an organization may be sealed.
type scopedHashes struct {
	s       *Store
	org     uuid.UUID
	inboxes []uuid.UUID
	listed  bool
}

// hashSet is a set of hashes that is asked a million times for what is not in it: two
// bytes of each are looked up in a table first.
type hashSet struct {
	seen [1 << 16 / 64]uint64
	all  map[[hashWidth]byte]bool
}

func (h *hashSet) add(hash []byte) {
	n := binary.LittleEndian.Uint16(hash)
	h.seen[n/64] |= 1 << (n % 64)
	h.all[[hashWidth]byte(hash)] = true
}

func (h *hashSet) has(hash []byte) bool {
	n := binary.LittleEndian.Uint16(hash)
	return h.seen[n/64]&(1<<(n%64)) != 0 && h.all[[hashWidth]byte(hash)]
}

func (h *scopedHashes) of(ctx context.Context, k kind, value string) (*hashSet, error) {
	if !h.listed {
		var err error
		if h.inboxes, err = h.s.inboxIDs(ctx, h.org); err != nil {
			return nil, err
		}
		h.listed = true
	}
	all := &hashSet{all: make(map[[hashWidth]byte]bool, len(h.inboxes)+2)}
	add := func(org, inbox uuid.UUID) error {
		key, err := h.s.columnKey(ctx, org, inbox)
		if errors.Is(err, ErrNotFound) {
			return nil // erased
		}
		if err == nil {
			all.add(columnHash(key, k, value))
		}
		return err
	}
	for _, inbox := range h.inboxes {
		if err := add(h.org, inbox); err != nil {
			return nil, err
		}
	}
	return all, errors.Join(add(h.org, uuid.Nil), add(uuid.Nil, uuid.Nil))
}

// inboxIDs are the inboxes of an organization. A column may lie: the key of an inbox
// opens for its own organization alone.
func (s *Store) inboxIDs(ctx context.Context, org uuid.UUID) (all []uuid.UUID, err error) {
	err = s.look(ctx, func(r *reads) error {
		rows, err := r.rows("SELECT id FROM inbox WHERE org = $1", org[:])
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id uuid.UUID
			if err := rows.Scan(&id); err != nil {
				return classify(err)
			}
			all = append(all, id)
		}
		return classify(rows.Err())
	})
	return all, err
}

// walk calls fn with the marked events of each block that has any, until it returns
// false. Groups of blocks grow: most searches end in the first.
func (x *examination) walk(ctx context.Context, fn func(b *eventBlock, marked *bitmap) (bool, error)) error {
	if x.from >= x.to {
		return nil
	}
	low, high := blockOf(x.from), blockOf(x.to-1)+1 // blocks that are yet to be looked at
	for group := uint64(1); low < high; group = min(2*group, maxGroup) {
		from, to := low, min(high, low+group)
		if x.q.Newest {
			from, to = max(low, high-min(high, group)), high
		}
		stored, err := x.s.blocks(ctx, from, to, x.kinds)
		if err != nil {
			return err
		}
		for i := range to - from {
			no := from + i
			if x.q.Newest {
				no = to - 1 - i
			}
			more, err := x.block(ctx, no, stored[no], fn)
			if err != nil || !more {
				return err
			}
		}
		if x.q.Newest {
			high = from
		} else {
			low = to
		}
	}
	return nil
}

// block looks through one block.
func (x *examination) block(ctx context.Context, no uint64, b *eventBlock, fn func(b *eventBlock, marked *bitmap) (bool, error)) (more bool, err error) {
	if b == nil {
		if x.made == maxMade {
			x.cut, x.next = true, no*blockEvents
			if x.q.Newest {
				x.next += blockEvents
			}
			return false, nil
		}
		if b, err = x.s.makeBlock(ctx, no, x.size); err != nil {
			return false, err
		}
		x.made++
	}
	if !x.q.Since.IsZero() && b.last < micros(x.q.Since) || !x.q.Until.IsZero() && b.first >= micros(x.q.Until) {
		return true, nil
	}
	var marked bitmap
	first := no * blockEvents
	marked.fill(int(max(x.from, first)-first), int(min(x.to, first+uint64(b.events))-first))
	for _, t := range x.tests {
		passed := t.mark(b)
		if marked.and(&passed); marked.empty() {
			return true, nil
		}
	}
	return fn(b, &marked)
}

// builtBlocks are the blocks of which columns were made and not stored: the last, and
// some that were asked for before their turn came.
type builtBlocks struct {
	mu     sync.Mutex
	blocks []*blockBuilder // the one that was asked for last is the last
}

// maxBuilt bounds how many of them are kept, at about 200 KB each.
const maxBuilt = 8

// makeBlock makes the columns of a block, from those that it has made before on.
func (s *Store) makeBlock(ctx context.Context, no, size uint64) (*eventBlock, error) {
	s.built.mu.Lock()
	defer s.built.mu.Unlock()
	at := slices.IndexFunc(s.built.blocks, func(b *blockBuilder) bool { return b.no == no })
	var b *blockBuilder
	if at >= 0 {
		b = s.built.blocks[at]
		s.built.blocks = slices.Delete(s.built.blocks, at, at+1)
	} else {
		b = s.newBlock(no)
	}
	if err := b.grow(ctx, size); err != nil {
		return nil, err
	}
	s.built.blocks = append(s.built.blocks, b)
	if len(s.built.blocks) > maxBuilt {
		s.built.blocks = slices.Delete(s.built.blocks, 0, 1)
	}
	return b.block(), nil
}

// indexed are the blocks that have columns.
func (s *Store) indexed(ctx context.Context) (all map[uint64]bool, err error) {
	all = map[uint64]bool{}
	err = s.look(ctx, func(r *reads) error {
		rows, err := r.rows("SELECT block FROM event_block")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var no uint64
			if err := rows.Scan(&no); err != nil {
				return classify(err)
			}
			all[no] = true
		}
		return classify(rows.Err())
	})
	return all, err
}

// Columns makes and stores the columns of all full blocks that have none, the newest
// first, so that a log which is older than they are is searched soon where people look.
// It rests between two blocks, and returns how many it made.
func (s *Store) Columns(ctx context.Context, rest time.Duration) (made int, err error) {
	have, err := s.indexed(ctx)
	if err != nil {
		return 0, err
	}
	size, err := s.logSize(ctx)
	if err != nil {
		return 0, err
	}
	for no := blockOf(size); no > 0; {
		no--
		if have[no] {
			continue
		}
		b, err := s.makeBlock(ctx, no, size)
		if err != nil {
			return made, err
		}
		if err := s.Upkeep(ctx, func(u *Upkeep) error { return u.putBlock(b) }); err != nil {
			return made, err
		}
		if made++; rest > 0 {
			select {
			case <-time.After(rest):
			case <-ctx.Done():
				return made, ctx.Err()
			}
		}
	}
	return made, nil
}
