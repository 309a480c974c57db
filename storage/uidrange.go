package storage

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"postern/storage/audit"
)

// UIDRange is the UIDs from First to Last, both included.
type UIDRange = audit.UIDRange

// uidSet brings ranges, in any order and overlapping as a client may send them,
// to their one normal form.
func uidSet(ranges []UIDRange) audit.UIDs {
	less := func(a, b UIDRange) int { return cmp.Compare(a.First, b.First) }
	if !slices.IsSortedFunc(ranges, less) {
		ranges = slices.Clone(ranges)
		slices.SortFunc(ranges, less)
	}
	set := make(audit.UIDs, 0, len(ranges))
	for _, r := range ranges {
		set.Add(r.First, r.Last)
	}
	return set
}

// after cuts off what a scan has passed: the UIDs up to last.
func after(set audit.UIDs, last uint32) audit.UIDs {
	for len(set) > 0 && set[0].Last <= last {
		set = set[1:]
	}
	if len(set) > 0 && set[0].First <= last {
		set = append(audit.UIDs{{First: last + 1, Last: set[0].Last}}, set[1:]...)
	}
	return set
}

// bridge is the gap between two ranges that is read along, since that is cheaper
// than a query for each: clients fetch what they miss, message by message.
const bridge = 8

// hull is the first stretch of a set to read with one query; what lies in its
// gaps is for the caller to leave out.
func hull(set audit.UIDs) UIDRange {
	h := set[0]
	for _, r := range set[1:] {
		if r.First-h.Last > bridge {
			break
		}
		h.Last = r.Last
	}
	return h
}

// encodeUIDs packs a set in normal form: for each range the distance from the
// end of the one before, and its length less one.
func encodeUIDs(set audit.UIDs) []byte {
	b := make([]byte, 0, 4*len(set))
	last := uint32(0)
	for _, r := range set {
		b = binary.AppendUvarint(b, uint64(r.First-last))
		b = binary.AppendUvarint(b, uint64(r.Last-r.First))
		last = r.Last
	}
	return b
}

// decodeUIDs is the inverse of encodeUIDs; anything else is ErrCorrupt.
func decodeUIDs(b []byte) (audit.UIDs, error) {
	var set audit.UIDs
	last := uint64(0)
	for len(b) > 0 {
		gap, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, fmt.Errorf("%w: UID ranges", ErrCorrupt)
		}
		more, m := binary.Uvarint(b[n:])
		first := last + gap
		if m <= 0 || gap == 0 || gap > 1<<32-1 || more > 1<<32-1 || first+more > 1<<32-1 {
			return nil, fmt.Errorf("%w: UID ranges", ErrCorrupt)
		}
		set.Add(uint32(first), uint32(first+more))
		last, b = first+more, b[n+m:]
	}
	return set, nil
}
