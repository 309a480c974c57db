package audit

import (
	"errors"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// MaxRanges bounds the ranges of one UID set in an event. A caller with a more scattered set writes several events.
const MaxRanges = 1 << 15

// UIDRange is a range of UIDs, both ends included, 1 ≤ First ≤ Last.
type UIDRange struct{ First, Last uint32 }

// UIDs is a set of UIDs as ranges, in its one normal form: ascending, and no two ranges touch. The zero value is the
// empty set.
type UIDs []UIDRange

// UIDsOf returns the set of the given UIDs, which may be in any order. Zeros are no UIDs and are left out.
func UIDsOf(uids ...uint32) UIDs {
	if !slices.IsSorted(uids) {
		uids = slices.Clone(uids)
		slices.Sort(uids)
	}
	var s UIDs
	for _, u := range uids {
		s.Add(u, u)
	}
	return s
}

// Add puts first to last into the set. A range with first of 0, or first after last, is ignored.
func (s *UIDs) Add(first, last uint32) {
	if first == 0 || first > last {
		return
	}
	r := *s
	// Mail arrives with growing UIDs: the common case touches only the last range.
	if n := len(r); n == 0 || uint64(r[n-1].Last)+1 < uint64(first) {
		*s = append(r, UIDRange{first, last})
		return
	}
	i := sort.Search(len(r), func(i int) bool { return uint64(r[i].Last)+1 >= uint64(first) })
	j := i
	for j < len(r) && uint64(r[j].First) <= uint64(last)+1 {
		first, last = min(first, r[j].First), max(last, r[j].Last)
		j++
	}
	*s = slices.Replace(r, i, j, UIDRange{first, last})
}

// Remove takes first to last out of the set and returns how many of them were in it.
func (s *UIDs) Remove(first, last uint32) (removed uint64) {
	if first == 0 || first > last {
		return 0
	}
	r := *s
	i := sort.Search(len(r), func(i int) bool { return r[i].Last >= first })
	var rest []UIDRange
	j := i
	for ; j < len(r) && r[j].First <= last; j++ {
		removed += uint64(min(last, r[j].Last)-max(first, r[j].First)) + 1
		if r[j].First < first {
			rest = append(rest, UIDRange{r[j].First, first - 1})
		}
		if r[j].Last > last {
			rest = append(rest, UIDRange{last + 1, r[j].Last})
		}
	}
	*s = slices.Replace(r, i, j, rest...)
	return removed
}

// Minus returns the UIDs of the set that are not in another.
func (s UIDs) Minus(other UIDs) UIDs {
	var rest UIDs
	for _, r := range s {
		for len(other) > 0 && other[0].Last < r.First {
			other = other[1:]
		}
		first := uint64(r.First)
		for _, o := range other {
			if o.First > r.Last {
				break
			}
			if uint64(o.First) > first {
				rest = append(rest, UIDRange{uint32(first), o.First - 1})
			}
			first = uint64(o.Last) + 1
		}
		if first <= uint64(r.Last) {
			rest = append(rest, UIDRange{uint32(first), r.Last})
		}
	}
	return rest
}

// Contains reports whether uid is in the set.
func (s UIDs) Contains(uid uint32) bool {
	i := sort.Search(len(s), func(i int) bool { return s[i].Last >= uid })
	return i < len(s) && s[i].First <= uid
}

// Count returns how many UIDs the set holds.
func (s UIDs) Count() (n uint64) {
	for _, r := range s {
		n += uint64(r.Last-r.First) + 1
	}
	return n
}

// String returns the normal form, as an IMAP sequence set (RFC 9051, section 9): "1:4,7".
func (s UIDs) String() string {
	var b []byte
	for i, r := range s {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(r.First), 10)
		if r.Last != r.First {
			b = append(b, ':')
			b = strconv.AppendUint(b, uint64(r.Last), 10)
		}
	}
	return string(b)
}

var errUIDs = errors.New("audit: UID set is not in normal form")

// ParseUIDs reads the normal form and nothing else: what String would not write is an error.
func ParseUIDs(text string) (UIDs, error) {
	if text == "" {
		return nil, nil
	}
	if strings.Count(text, ",") >= MaxRanges {
		return nil, errors.New("audit: UID set has too many ranges")
	}
	s := make(UIDs, 0, strings.Count(text, ",")+1)
	for part := range strings.SplitSeq(text, ",") {
		a, b, isRange := strings.Cut(part, ":")
		first, ok := parseUID(a)
		last := first
		if isRange && ok {
			last, ok = parseUID(b)
			ok = ok && first < last
		}
		if !ok || len(s) > 0 && uint64(first) <= uint64(s[len(s)-1].Last)+1 {
			return nil, errUIDs
		}
		s = append(s, UIDRange{first, last})
	}
	return s, nil
}

func parseUID(text string) (uint32, bool) {
	if text == "" || text[0] < '1' || text[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err == nil && n <= math.MaxUint32
}
