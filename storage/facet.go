package storage

import (
	"cmp"
	"context"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"postern/storage/audit"
)

// Counts are what a search finds, counted: not opened, but for where events came from.
type Counts struct {
	Matching int       // events
	Looked   int       // events that were looked at; what lies before is not counted
	Oldest   uint64    // the first of them
	AtMost   bool      // columns could not tell everything: it may be fewer
	Facets   []Facet   // in the order of the fields, of each the most frequent
	First    time.Time // of the first interval
	Width    time.Duration
	Times    []Interval
}

// Facet is a value that events have.
type Facet struct {
	Field Field
	Value Value
	Count int
}

// Interval is how many events there were in one interval of time.
type Interval struct{ Count, Refused int }

// Bounds of counting.
const (
	maxCounted   = 128 // blocks, half a million events
	maxFacets    = 8   // values of a field
	maxAddresses = 48  // events that are opened to learn where from they came
	maxIntervals = 60
	finest       = 10 // seconds of the intervals that are counted first
)

// widthsOfIntervals are how long an interval may be.
var widthsOfIntervals = []time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 28 * 24 * time.Hour}

// facetKinds are the columns that are counted.
var facetKinds = map[Field]kind{
	FieldVerb: kindVerb, FieldResult: kindResult, FieldAgent: kindAgent, FieldCredential: kindCredential,
	FieldInbox: kindInbox, FieldActor: kindActor, FieldTrigger: kindTrigger, FieldNetwork: kindAddress,
}

// Count counts what a search finds: of the newest half million events between its
// bounds. Limit and Newest do not count.
func (s *Store) Count(ctx context.Context, q Search) (Counts, error) {
	q.Newest = true
	x, err := s.examine(ctx, &q)
	if err != nil {
		return Counts{}, err
	}
	for _, k := range facetKinds {
		x.kinds = append(x.kinds, k)
	}
	x.kinds = append(x.kinds, kindSecond)
	slices.Sort(x.kinds)
	x.kinds = slices.Compact(x.kinds)
	if oldest := blockOf(max(x.to, 1)-1) + 1; oldest > maxCounted {
		x.from = max(x.from, (oldest-maxCounted)*blockEvents)
	}
	c := &counting{s: s, values: map[Field]map[string]int{}, examples: map[string]uint64{}, times: map[uint32]Interval{}}
	if err := x.walk(ctx, c.block); err != nil {
		return Counts{}, err
	}
	if x.cut {
		x.from = max(x.from, x.next)
	}
	out := Counts{Matching: c.matching, Oldest: x.from, AtMost: !x.exact}
	if x.to > x.from {
		out.Looked = int(x.to - x.from)
	}
	if out.Facets, err = c.facets(ctx); err != nil {
		return Counts{}, err
	}
	c.intervals(&out, q.Since, q.Until)
	return out, nil
}

// counting is a count under way.
type counting struct {
	s        *Store
	matching int
	values   map[Field]map[string]int // by the bytes of the columns
	examples map[string]uint64        // an event for each address
	times    map[uint32]Interval      // by Unix time over finest
}

// block adds the marked events of a block.
func (c *counting) block(b *eventBlock, marked *bitmap) (bool, error) {
	c.matching += marked.count()
	for f, k := range facetKinds {
		col := b.columns[k]
		if c.values[f] == nil {
			c.values[f] = map[string]int{}
		}
		for i, n := range col.counts(marked)[1:] {
			if n > 0 {
				c.values[f][string(col.value(i))] += n
			}
		}
	}
	c.addresses(b, marked)
	refused := b.columns[kindResult].matching(func(v []byte) bool { return v[0] == byte(audit.Refused) })
	refused.and(marked)
	seconds := b.columns[kindSecond]
	all, no := seconds.counts(marked), seconds.counts(&refused)
	for i := range seconds.len() {
		if n := all[i+1]; n > 0 {
			at := binary.BigEndian.Uint32(seconds.value(i)) / finest
			t := c.times[at]
			c.times[at] = Interval{t.Count + n, t.Refused + no[i+1]}
		}
	}
	return true, nil
}

// addresses remembers an event for each hash of an address.
func (c *counting) addresses(b *eventBlock, marked *bitmap) {
	col := b.columns[kindAddress]
	seen := make([]bool, col.len()+1)
	marked.each(true, func(i int) bool {
		if code := col.code(i); !seen[code] {
			seen[code] = true
			if code > 0 {
				h := string(col.value(code - 1))
				c.examples[h] = max(c.examples[h], b.no*blockEvents+uint64(i))
			}
		}
		return true
	})
}

// facets are the most frequent values of each field.
func (c *counting) facets(ctx context.Context) (all []Facet, err error) {
	for _, f := range slices.Sorted(maps.Keys(c.values)) {
		counted := c.values[f]
		if f == FieldNetwork {
			if counted, err = c.networks(ctx, counted); err != nil {
				return nil, err
			}
		}
		for _, v := range frequent(counted, maxFacets) {
			all = append(all, Facet{f, facetValue(f, v), counted[v]})
		}
	}
	return all, nil
}

// frequent are the values with the highest counts.
func frequent(counted map[string]int, n int) []string {
	all := slices.SortedFunc(maps.Keys(counted), func(a, b string) int {
		return cmp.Or(cmp.Compare(counted[b], counted[a]), cmp.Compare(a, b))
	})
	return all[:min(n, len(all))]
}

// networks opens an event for each of the most frequent hashes of an address. One
// address has a hash under each key under which events are sealed.
func (c *counting) networks(ctx context.Context, hashes map[string]int) (map[string]int, error) {
	counted := map[string]int{}
	for _, h := range frequent(hashes, maxAddresses) {
		e, err := c.s.Event(ctx, c.examples[h])
		if err != nil {
			return nil, err
		}
		if a, ok := networkOf(e); ok {
			counted[networkText(netip.PrefixFrom(a, a.BitLen()))] += hashes[h]
		}
	}
	return counted, nil
}

// facetValue is a value of a column as conditions have it.
func facetValue(f Field, v string) Value {
	switch f {
	case FieldVerb:
		return Value{Number: uint64(binary.LittleEndian.Uint16([]byte(v)))}
	case FieldResult, FieldActor:
		return Value{Number: uint64(v[0])}
	case FieldTrigger:
		return Value{Text: trimZeros(v)}
	case FieldNetwork:
		var p netip.Prefix
		_ = p.UnmarshalBinary([]byte(v)) // which networkText wrote
		return Value{Network: p}
	}
	return Value{ID: uuid.UUID([]byte(v))}
}

func trimZeros(v string) string {
	for len(v) > 0 && v[len(v)-1] == 0 {
		v = v[:len(v)-1]
	}
	return v
}

// intervals makes of what was counted in short intervals few longer ones.
func (c *counting) intervals(out *Counts, since, until time.Time) {
	if len(c.times) == 0 {
		return
	}
	first := slices.Min(slices.Collect(maps.Keys(c.times))) * finest
	last := slices.Max(slices.Collect(maps.Keys(c.times))) * finest
	if !since.IsZero() {
		first = min(first, uint32(max(0, since.Unix())))
	}
	if !until.IsZero() {
		last = max(last, uint32(max(1, until.Unix()))-1)
	}
	width := uint32(0)
	for _, w := range widthsOfIntervals {
		if width = uint32(w / time.Second); (last-first)/width < maxIntervals-1 {
			break
		}
	}
	for (last-first)/width >= maxIntervals-1 { // more than four years
		width *= 2
	}
	first -= first % width
	out.First, out.Width = time.Unix(int64(first), 0).UTC(), time.Duration(width)*time.Second
	out.Times = make([]Interval, (last-first)/width+1)
	for at, n := range c.times {
		i := (at*finest - min(first, at*finest)) / width
		out.Times[i].Count += n.Count
		out.Times[i].Refused += n.Refused
	}
}
