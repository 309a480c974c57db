package imapd

import (
	"errors"
	"iter"
	"slices"
	"sort"

	"github.com/emersion/go-imap/v2"
)

// A view is what one session has been told about its selected mailbox: which messages are there, in the order of their
// UIDs, and so which sequence number each has (RFC 9051, section 2.3.1). It changes when the client is told, with EXISTS
// or EXPUNGE, not when the mailbox does. The zero value is an empty mailbox.
//
// Messages with consecutive UIDs form a run. A mailbox that nothing was ever removed from is one run, whatever its size;
// the worst case, every other message gone, costs eight bytes a message. A view belongs to one goroutine at a time.
type view struct {
	runs []run
	n    uint32 // messages
}

// A run is messages with consecutive UIDs: the UID and the sequence number of the first. It ends where the next one
// starts counting.
type run struct {
	uid imap.UID
	seq uint32
}

// Errors of a view.
var (
	// errViewOrder: UIDs were not given in ascending order, or not above those that are there.
	errViewOrder = errors.New("imapd: UIDs are not in ascending order")
	// errNoSuchMessage: a sequence number is above the number of messages. RFC 9051, section 9, seq-number: answer BAD.
	errNoSuchMessage = errors.New("imapd: no message has this number")
)

// newView returns a view of messages with the given UIDs, which ascend.
func newView(uids []imap.UID) (*view, error) {
	v := new(view)
	return v, v.append(uids...)
}

// append adds messages at the end. Their UIDs ascend and are above all others; if not, nothing is added.
func (v *view) append(uids ...imap.UID) error {
	last := v.last()
	for _, u := range uids {
		if u <= last {
			return errViewOrder
		}
		last = u
	}
	last = v.last()
	for _, u := range uids {
		if v.n == 0 || u != last+1 {
			v.runs = append(v.runs, run{u, v.n + 1})
		}
		v.n++
		last = u
	}
	return nil
}

// appendRange adds messages with all UIDs from first to last, like append.
func (v *view) appendRange(first, last imap.UID) error {
	top := v.last()
	if first <= top || last < first {
		return errViewOrder
	}
	if v.n == 0 || first != top+1 {
		v.runs = append(v.runs, run{first, v.n + 1})
	}
	v.n += uint32(last - first + 1)
	return nil
}

// len returns the number of messages: what EXISTS says.
func (v *view) len() uint32 { return v.n }

// last returns the UID of the last message, or 0 if there is none.
func (v *view) last() imap.UID {
	if v.n == 0 {
		return 0
	}
	r := v.runs[len(v.runs)-1]
	return r.uid + imap.UID(v.n-r.seq)
}

// count returns how many messages run i has.
func (v *view) count(i int) uint32 {
	if i+1 < len(v.runs) {
		return v.runs[i+1].seq - v.runs[i].seq
	}
	return v.n + 1 - v.runs[i].seq
}

// from returns the first run that ends at uid or above.
func (v *view) from(uid imap.UID) int {
	return sort.Search(len(v.runs), func(i int) bool { return v.runs[i].uid+imap.UID(v.count(i)-1) >= uid })
}

// seq returns the sequence number of the message with this UID.
func (v *view) seq(uid imap.UID) (uint32, bool) {
	i := v.from(uid)
	if i == len(v.runs) || uid < v.runs[i].uid {
		return 0, false
	}
	return v.runs[i].seq + uint32(uid-v.runs[i].uid), true
}

// uid returns the UID of the message with this sequence number.
func (v *view) uid(seq uint32) (imap.UID, bool) {
	if seq == 0 || seq > v.n {
		return 0, false
	}
	i := v.runOf(seq)
	return v.runs[i].uid + imap.UID(seq-v.runs[i].seq), true
}

// runOf returns the run that holds a sequence number from 1 to n.
func (v *view) runOf(seq uint32) int {
	return sort.Search(len(v.runs), func(i int) bool { return v.runs[i].seq > seq }) - 1
}

// expunge removes messages and returns the numbers to say EXPUNGE with, in the order to say them in: from the last to
// the first, so that no number is changed by the EXPUNGE before it (RFC 9051, section 7.5.1). The UIDs ascend; those
// that the view does not have are passed over.
func (v *view) expunge(uids []imap.UID) []uint32 {
	var gone []uint32
	for _, u := range uids {
		if n, ok := v.seq(u); ok {
			gone = append(gone, n)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	old := view{runs: v.runs, n: v.n}
	*v = view{runs: make([]run, 0, len(old.runs)+1)}
	next := uint32(1) // the first message that has not been dealt with
	for _, n := range gone {
		v.take(&old, next, n-1)
		next = n + 1
	}
	v.take(&old, next, old.n)
	v.runs = slices.Clip(v.runs)
	slices.Reverse(gone)
	return gone
}

// take appends the messages of old with the sequence numbers from first to last, if any.
func (v *view) take(old *view, first, last uint32) {
	if first > last {
		return
	}
	for r := range old.ranges(first, last) {
		v.appendRange(r.Start, r.Stop) // in order, because old is
	}
}

// ranges yields the UIDs of the messages with the sequence numbers from first to last, which exist.
func (v *view) ranges(first, last uint32) iter.Seq[imap.UIDRange] {
	return func(yield func(imap.UIDRange) bool) {
		for i := v.runOf(first); first <= last; i++ {
			r := v.runs[i]
			end := min(last, r.seq+v.count(i)-1)
			if !yield(imap.UIDRange{Start: r.uid + imap.UID(first-r.seq), Stop: r.uid + imap.UID(end-r.seq)}) {
				return
			}
			first = end + 1
		}
	}
}

// resolve returns the UIDs of the messages that a client's set names, as ranges that ascend, do not touch, and hold
// nothing that the view does not have. saved is what "$" stands for, the result of the last SEARCH with SAVE (RFC 9051,
// section 6.4.4.1), in the same form.
//
// A UID that is not there is passed over (section 6.4.9). A sequence number that is not there is errNoSuchMessage,
// "*" in an empty mailbox included; but 1:* in an empty mailbox, which clients send to see whether it is, is nobody.
func (v *view) resolve(set imap.NumSet, saved []imap.UIDRange) ([]imap.UIDRange, error) {
	switch set := set.(type) {
	case imap.SeqSet:
		return v.resolveSeqs(set)
	case imap.UIDSet:
		if imap.IsSearchRes(set) {
			return v.meet(saved), nil
		}
		return v.resolveUIDs(set), nil
	default:
		return nil, errNoSuchMessage
	}
}

func (v *view) resolveSeqs(set imap.SeqSet) ([]imap.UIDRange, error) {
	if v.n == 0 && len(set) == 1 && set[0] == (imap.SeqRange{Start: 1}) {
		return nil, nil
	}
	var out []imap.UIDRange
	for _, r := range set {
		first, last := star(r.Start, v.n), star(r.Stop, v.n)
		if first > last {
			first, last = last, first
		}
		if first == 0 || last > v.n {
			return nil, errNoSuchMessage
		}
		out = slices.AppendSeq(out, v.ranges(first, last))
	}
	return normalize(out), nil
}

func (v *view) resolveUIDs(set imap.UIDSet) []imap.UIDRange {
	if v.n == 0 {
		return nil
	}
	named := make([]imap.UIDRange, 0, len(set))
	for _, r := range set {
		// RFC 9051, section 9, seq-range: n:* is the same as *:n, so it names the last message whatever n is.
		first, last := star(r.Start, v.last()), star(r.Stop, v.last())
		if first > last {
			first, last = last, first
		}
		named = append(named, imap.UIDRange{Start: first, Stop: last})
	}
	return v.meet(normalize(named))
}

// star puts the largest number for "*", which the library writes as 0.
func star[N uint32 | imap.UID](n, largest N) N {
	if n == 0 {
		return largest
	}
	return n
}

// meet returns what the view has of ranges in normal form, in normal form.
func (v *view) meet(ranges []imap.UIDRange) []imap.UIDRange {
	var out []imap.UIDRange
	for _, r := range ranges {
		for i := v.from(r.Start); i < len(v.runs) && v.runs[i].uid <= r.Stop; i++ {
			end := v.runs[i].uid + imap.UID(v.count(i)-1)
			out = append(out, imap.UIDRange{Start: max(r.Start, v.runs[i].uid), Stop: min(r.Stop, end)})
		}
	}
	return normalize(out)
}

// normalize sorts ranges and joins those that overlap or touch, in place.
func normalize(ranges []imap.UIDRange) []imap.UIDRange {
	if len(ranges) < 2 {
		return ranges
	}
	slices.SortFunc(ranges, func(a, b imap.UIDRange) int {
		switch {
		case a.Start < b.Start:
			return -1
		case a.Start > b.Start:
			return 1
		}
		return 0
	})
	out := ranges[:1]
	for _, r := range ranges[1:] {
		last := &out[len(out)-1]
		if uint64(r.Start) <= uint64(last.Stop)+1 {
			last.Stop = max(last.Stop, r.Stop)
			continue
		}
		out = append(out, r)
	}
	return out
}

// each yields the messages of ranges that resolve has returned, with their sequence numbers.
func (v *view) each(ranges []imap.UIDRange) iter.Seq2[uint32, imap.UID] {
	return func(yield func(uint32, imap.UID) bool) {
		for _, r := range ranges {
			seq, ok := v.seq(r.Start)
			for u := r.Start; ok; u++ {
				if !yield(seq, u) {
					return
				}
				if u == r.Stop {
					break
				}
				seq++
			}
		}
	}
}
