package imapd

import (
	"errors"
	"slices"
	"sync"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"postern/storage"
	"postern/storage/audit"
)

// Search is SEARCH. The library's reading of the keys is not used: it forgets SMALLER when a date or LARGER follows, and
// bounds neither depth nor number. The command's line is read again, by parseQuery.
func (s *session) Search(kind imapserver.NumKind, _ *imap.SearchCriteria, o *imap.SearchOptions) (*imap.SearchData, error) {
	if err := s.may("SEARCH", storage.Read); err != nil {
		return nil, err
	}
	saved := s.box.saved
	if o.ReturnSave {
		s.box.saved = nil // RFC 9051, section 6.4.4.1: what a SEARCH that fails leaves behind
	}
	q, err := s.parseQuery(s.guard.arguments(), saved)
	if err != nil {
		return nil, s.fault(err)
	}
	found, err := s.search(q)
	if err != nil {
		return nil, s.fault(err)
	}
	if o.ReturnSave {
		s.box.saved = q.saving(found)
		if len(q.returns) == 1 {
			// SAVE alone asks for no answer (RFC 5182, section 2.1).
			return nil, &imap.Error{Type: imap.StatusResponseTypeOK, Text: "SEARCH completed, result saved"}
		}
	}
	return s.answerSearch(kind, found), nil
}

// saving is what "$" becomes: all results, or only the lowest and the highest where nothing more was asked for (RFC
// 9051, section 6.4.4.1).
func (q *query) saving(found []uint32) []imap.UIDRange {
	lowest, highest := slices.Contains(q.returns, "MIN"), slices.Contains(q.returns, "MAX")
	if (lowest || highest) && !slices.Contains(q.returns, "ALL") && !slices.Contains(q.returns, "COUNT") && len(found) > 0 {
		ends := []uint32{found[0], found[len(found)-1]}
		switch {
		case !lowest:
			ends = ends[1:]
		case !highest:
			ends = ends[:1]
		}
		found = ends
	}
	var out []imap.UIDRange
	for _, u := range found {
		out = append(out, imap.UIDRange{Start: imap.UID(u), Stop: imap.UID(u)})
	}
	return normalize(out)
}

// answerSearch is the result in the numbers that the client asked for.
func (s *session) answerSearch(kind imapserver.NumKind, found []uint32) *imap.SearchData {
	data := &imap.SearchData{Count: uint32(len(found))}
	nums := found
	if kind == imapserver.NumKindUID {
		data.All = imap.UIDSetNum(asUIDs(found)...)
	} else {
		nums = make([]uint32, 0, len(found))
		for _, u := range found {
			if n, ok := s.box.view.seq(imap.UID(u)); ok {
				nums = append(nums, n)
			}
		}
		data.All = imap.SeqSetNum(nums...)
	}
	if len(nums) > 0 {
		data.Min, data.Max = nums[0], nums[len(nums)-1]
	}
	return data
}

// search returns the UIDs that match, in order. Keys that rows can answer come first; if others are left, the messages
// that they concern go on record together with the terms, before any of them is opened (invariant 3).
func (s *session) search(q *query) (found []uint32, err error) {
	scope := s.box.view.meet(q.root.bounds())
	if q.root.needsSize() {
		if err := s.rendered(s.box.id, stored(scope)); err != nil {
			return nil, err
		}
	}
	if !q.root.needsContent() {
		err := s.inbox.Scan(s.ctx, s.box.id, stored(scope), false, func(m *storage.Message) error {
			if q.root.eval(&candidate{m: m}) == yes {
				found = append(found, m.UID)
			}
			return nil
		})
		return found, err
	}
	sure, open, err := s.sift(q, stored(scope))
	if err != nil {
		return nil, err
	}
	if err := s.rendered(s.box.id, open); err != nil {
		return nil, err
	}
	if err := s.recordSearch(q, open); err != nil {
		return nil, err
	}
	found, err = s.searchContent(q, open)
	found = append(found, sure...)
	slices.Sort(found)
	return found, err
}

// sift separates the messages that match by their rows alone from those that must be opened. A query that says nothing
// of rows is not worth the reading.
func (s *session) sift(q *query, scope []storage.UIDRange) (sure []uint32, open []storage.UIDRange, err error) {
	if !q.root.needsRow() {
		return nil, scope, nil
	}
	err = s.inbox.Scan(s.ctx, s.box.id, scope, false, func(m *storage.Message) error {
		switch q.root.eval(&candidate{m: m}) {
		case yes:
			sure = append(sure, m.UID)
		case unknown:
			open = appendUID(open, m.UID)
		}
		return nil
	})
	return sure, open, err
}

// recordSearch writes the event of a search by content. The terms are the agent's words, and sealed.
func (s *session) recordSearch(q *query, open []storage.UIDRange) error {
	return s.write(func(tx *storage.Tx) error {
		e := s.event(audit.MessageSearched)
		e.Fields = append(e.Fields, audit.Word(audit.KeyClass, "search"))
		for _, t := range q.terms {
			e.Personal = append(e.Personal, audit.Text(audit.KeyTerms, t))
		}
		return tx.RecordRead(tx.Record(e), s.inbox, s.principal.Credential.ID, s.box.id, open)
	})
}

// Content is searched by two goroutines when there is enough of it: one can open what the other waits for.
const (
	searchers   = 2
	searchAlone = 64 // messages that one goroutine searches
)

// searchContent opens messages and returns the UIDs of those that match. One that cannot be opened matches nothing, and
// the log says so: it must not keep an agent from finding the others.
func (s *session) searchContent(q *query, open []storage.UIDRange) ([]uint32, error) {
	parts := divide(open, searchers)
	found := make([][]uint32, len(parts))
	errs := make([]error, len(parts))
	var each sync.WaitGroup
	for i, part := range parts {
		each.Go(func() { found[i], errs[i] = s.searchPart(q, part) })
	}
	each.Wait()
	err := errors.Join(errs...)
	if errors.Is(err, storage.ErrCorrupt) {
		s.server.log.Error("imap search left out messages that cannot be read", "mailbox", s.box.id.String(), "error", err.Error())
		err = nil
	}
	return slices.Concat(found...), err
}

func (s *session) searchPart(q *query, part []storage.UIDRange) (found []uint32, err error) {
	c := candidates.Get().(*candidate)
	defer c.free()
	var damaged error
	look := func(m *storage.Message) error {
		ok, err := c.try(s, q, m)
		switch {
		case errors.Is(err, storage.ErrCorrupt):
			damaged = err
		case errors.Is(err, storage.ErrNotFound): // removed meanwhile
		case err != nil:
			return err
		case ok:
			found = append(found, m.UID)
		}
		return nil
	}
	if q.root.needsBody() {
		err = s.inbox.ScanBodies(s.ctx, s.box.id, part, look)
	} else {
		err = s.inbox.Scan(s.ctx, s.box.id, part, true, look)
	}
	return found, errors.Join(err, damaged)
}

// divide cuts ranges into n parts of about the same number of messages.
func divide(ranges []storage.UIDRange, n int) [][]storage.UIDRange {
	var total uint64
	for _, r := range ranges {
		total += uint64(r.Last-r.First) + 1
	}
	if total <= searchAlone {
		return [][]storage.UIDRange{ranges}
	}
	each := (total + uint64(n) - 1) / uint64(n)
	parts := make([][]storage.UIDRange, 1, n)
	room := each
	for _, r := range ranges {
		for {
			last := &parts[len(parts)-1]
			have := uint64(r.Last-r.First) + 1
			if have <= room {
				*last = append(*last, r)
				room -= have
				break
			}
			if room > 0 {
				*last = append(*last, storage.UIDRange{First: r.First, Last: r.First + uint32(room) - 1})
				r.First += uint32(room)
			}
			parts = append(parts, nil)
			room = each
		}
	}
	return parts
}
