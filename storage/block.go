package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/uuid"

	"postern/storage/audit"
	"postern/storage/seal"
)

// eventBlock is a block of the log as it is searched.
type eventBlock struct {
	no          uint64
	events      int   // how many of them there are; a block that is not full is the last
	first, last int64 // microseconds
	columns     map[kind]*column
}

// blockBuilder makes the columns of a block, event by event.
type blockBuilder struct {
	s           *Store
	no          uint64
	events      int
	first, last int64
	columns     map[kind]*columnBuilder

	keys  map[uuid.UUID]seal.Key // for hashes, by what seals the event; the zero Key: destroyed
	cache map[hashOf][]byte
}

// hashOf is what a keyed hash is of.
type hashOf struct {
	under uuid.UUID
	kind  kind
	value string
}

func (s *Store) newBlock(no uint64) *blockBuilder {
	b := &blockBuilder{s: s, no: no, columns: map[kind]*columnBuilder{}, keys: map[uuid.UUID]seal.Key{}, cache: map[hashOf][]byte{}}
	for k, width := range widths {
		b.columns[k] = &columnBuilder{width: width}
	}
	return b
}

// grow reads the events of the block up to a sequence number.
func (b *blockBuilder) grow(ctx context.Context, to uint64) error {
	to = min(to, (b.no+1)*blockEvents)
	for from := b.no*blockEvents + uint64(b.events); from < to; {
		end := min(to, from+exportChunk)
		rows, err := b.s.eventRows(ctx, from, end)
		if err != nil {
			return err
		}
		if uint64(len(rows)) != end-from {
			return fmt.Errorf("%w: the log has a gap between %d and %d", ErrCorrupt, from, end)
		}
		for i := range rows {
			e, err := b.s.openEvent(ctx, &rows[i])
			if err != nil {
				return err
			}
			if err := b.add(ctx, e); err != nil {
				return err
			}
		}
		from = end
	}
	return nil
}

// add notes the next event.
func (b *blockBuilder) add(ctx context.Context, e *audit.Event) error {
	at := micros(e.Time)
	if b.events == 0 || at < b.first {
		b.first = at
	}
	b.last = max(b.last, at)
	b.put(kindVerb, binary.LittleEndian.AppendUint16(nil, uint16(e.Verb)))
	b.put(kindResult, []byte{byte(e.Outcome)})
	b.put(kindActor, []byte{byte(e.Actor.Kind)})
	b.put(kindSecond, secondOf(at))
	answers, _ := e.Fields.ID(audit.KeyAnswers)
	for _, x := range [...]struct {
		kind kind
		id   uuid.UUID
	}{{kindOrg, e.Org}, {kindAgent, e.Agent}, {kindCredential, e.Credential}, {kindInbox, e.Inbox}, {kindActorID, e.Actor.ID}, {kindAnswers, answers}} {
		if x.id != uuid.Nil {
			b.put(x.kind, x.id[:])
		}
	}
	if word := e.Fields.Text(audit.KeyTrigger); word != "" {
		b.put(kindTrigger, []byte(word))
	}
	err := b.addPersonal(ctx, e)
	b.events++
	return err
}

// secondOf is a time as its column has it.
func secondOf(micros int64) []byte {
	return binary.BigEndian.AppendUint32(nil, uint32(micros/1e6))
}

// addPersonal notes hashes of what is personal in an event.
func (b *blockBuilder) addPersonal(ctx context.Context, e *audit.Event) error {
	if e.Actor.Name == "" && len(e.Personal) == 0 && !e.Actor.Network.IsValid() {
		return nil
	}
	key, under, err := b.key(ctx, e.Org, e.Inbox)
	if err != nil || key.IsZero() {
		return err
	}
	if e.Actor.Name != "" {
		b.put(kindActorName, b.hash(key, hashOf{under, kindActorName, e.Actor.Name}))
	}
	if cause := e.Personal.Text(audit.KeyTriggerRef); cause != "" {
		b.put(kindCause, b.hash(key, hashOf{under, kindCause, cause}))
	}
	from, ok := networkOf(e)
	if !ok {
		return nil
	}
	for _, l := range levels {
		p := netip.PrefixFrom(from, l.bits(from)).Masked()
		b.put(l.kind, b.hash(key, hashOf{under, l.kind, networkText(p)}))
	}
	return nil
}

// networkText is a network as it is hashed.
func networkText(p netip.Prefix) string {
	text, _ := p.MarshalBinary()
	return string(text)
}

func (b *blockBuilder) put(k kind, value []byte) { b.columns[k].put(b.events, value) }

// hash is a keyed hash, made once for a block.
func (b *blockBuilder) hash(key seal.Key, of hashOf) []byte {
	h, ok := b.cache[of]
	if !ok {
		h = columnHash(key, of.kind, of.value)
		b.cache[of] = h
	}
	return h
}

// columnHash is the hash of a personal value under one key.
func columnHash(key seal.Key, k kind, value string) []byte {
	return key.Hash("column", []byte{byte(k)}, []byte(value))[:hashWidth]
}

// key is the key for hashes of what an event says, and whose it is; the zero Key when
// it was destroyed.
func (b *blockBuilder) key(ctx context.Context, org, inbox uuid.UUID) (seal.Key, uuid.UUID, error) {
	under := inbox
	if inbox == uuid.Nil {
		under = org
	}
	key, ok := b.keys[under]
	if ok {
		return key, under, nil
	}
	key, err := b.s.columnKey(ctx, org, inbox)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return key, under, err
	}
	b.keys[under] = key
	return key, under, nil
}

// columnKey is the key for hashes of what is personal in events: the inbox's where
// they concern one, else the organization's, else the installation's. ErrNotFound
// when it was destroyed. // CO-5: the look-up ends with the inbox
func (s *Store) columnKey(ctx context.Context, org, inbox uuid.UUID) (seal.Key, error) {
	switch {
	case inbox != uuid.Nil:
		ik, err := s.inboxKeysOf(ctx, org, inbox)
		if err != nil {
			return seal.Key{}, err
		}
		return ik.lookup, nil
	case org != uuid.Nil:
		return s.orgKey(ctx, org)
	}
	return s.index, nil
}

// block is what was added so far, to be searched.
func (b *blockBuilder) block() *eventBlock {
	done := &eventBlock{no: b.no, events: b.events, first: b.first, last: b.last, columns: map[kind]*column{}}
	for k, c := range b.columns {
		done.columns[k] = c.column()
	}
	return done
}

// columnPlace is the place of a column in its table.
func columnPlace(k kind, block uint64) int64 { return int64(k)<<40 + int64(block) }

// putBlock writes the columns of a full block. // AU-10
func (u *Upkeep) putBlock(b *eventBlock) error {
	for k, c := range b.columns {
		if err := u.tx.exec("INSERT INTO event_column (place, data) VALUES ($1, $2) ON CONFLICT (place) DO UPDATE SET data = excluded.data", columnPlace(k, b.no), c.append(nil)); err != nil {
			return err
		}
	}
	return u.tx.exec("INSERT INTO event_block (block, first, last) VALUES ($1, $2, $3) ON CONFLICT (block) DO UPDATE SET first = excluded.first, last = excluded.last", b.no, b.first, b.last)
}

// blocks reads the blocks [from, to) that have columns, with these columns.
func (s *Store) blocks(ctx context.Context, from, to uint64, kinds []kind) (map[uint64]*eventBlock, error) {
	all := map[uint64]*eventBlock{}
	err := s.read(ctx, func(r *reads) error {
		rows, err := r.rows("SELECT block, first, last FROM event_block WHERE block >= $1 AND block < $2", from, to)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			b := &eventBlock{events: blockEvents, columns: map[kind]*column{}}
			if err := rows.Scan(&b.no, &b.first, &b.last); err != nil {
				return classify(err)
			}
			all[b.no] = b
		}
		if err := rows.Err(); err != nil {
			return classify(err)
		}
		for _, k := range kinds {
			if err := r.column(k, from, to, all); err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}

// column reads one column of the blocks [from, to).
func (r *reads) column(k kind, from, to uint64, into map[uint64]*eventBlock) error {
	rows, err := r.rows("SELECT place, data FROM event_column WHERE place >= $1 AND place < $2", columnPlace(k, from), columnPlace(k, to))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var at int64
		var data []byte
		if err := rows.Scan(&at, &data); err != nil {
			return classify(err)
		}
		b := into[uint64(at-columnPlace(k, 0))]
		if b == nil {
			continue
		}
		if b.columns[k], err = parseColumn(data); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return classify(err)
	}
	for no, b := range into {
		if b.columns[k] == nil {
			return fmt.Errorf("%w: block %d of the log has lost a column", ErrCorrupt, no)
		}
	}
	return nil
}
