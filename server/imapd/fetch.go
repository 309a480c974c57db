package imapd

import (
	"bytes"
	"errors"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"postern/server/message"
	"postern/storage"
	"postern/storage/audit"
)

// maxSections is how many sections one FETCH may name.
const maxSections = 100

// Fetch is FETCH. What reveals content is on record, flushed, before its first byte leaves (invariant 3); then rows are
// read in short transactions, none of which is open while the client is written to.
func (s *session) Fetch(_ *imapserver.FetchWriter, set imap.NumSet, o *imap.FetchOptions) error {
	if err := s.may("FETCH", storage.Read); err != nil {
		return err
	}
	ranges, err := s.box.view.resolve(set, s.box.saved)
	if err != nil || len(ranges) == 0 {
		return s.fault(err)
	}
	if len(o.BodySection)+len(o.BinarySection)+len(o.BinarySectionSize) > maxSections {
		return errTooMuch
	}
	f := s.newFetch(o)
	if f.content() || o.RFC822Size {
		if err := s.rendered(s.box.id, stored(ranges)); err != nil {
			return s.fault(err)
		}
	}
	if f.content() {
		if err := f.record(ranges); err != nil {
			return s.fault(err)
		}
	}
	err = f.scan(stored(ranges))
	if errors.Is(err, errTorn) {
		s.guard.cut()
	}
	if sent := f.r.end(); err == nil {
		err = sent
	}
	if f.content() {
		s.principal.Count.Add(f.shown)
	}
	switch {
	case err != nil:
		return s.fault(err)
	case f.damaged != nil:
		return s.fault(f.damaged)
	case f.unknownCTE:
		return errUnknownCTE
	}
	if _, byNumber := set.(imap.SeqSet); byNumber && f.shown < size(ranges) {
		// RFC 2180, section 4.1.2: others are shown, and EXPUNGE will come when it may.
		return &imap.Error{Type: imap.StatusResponseTypeOK, Code: codeExpungeIssued, Text: "Some of the messages are gone"}
	}
	return nil
}

// scan goes through the messages, reading no more of each than is asked for.
func (f *fetch) scan(uids []storage.UIDRange) error {
	s := f.s
	if len(f.sections) > 0 {
		return s.inbox.ScanBodies(s.ctx, s.box.id, uids, f.message)
	}
	return s.inbox.Scan(s.ctx, s.box.id, uids, f.content(), f.message)
}

// A fetch is one FETCH command on its way.
type fetch struct {
	s        *session
	o        *imap.FetchOptions
	r        *response
	plain    bool // BODY without extension data
	extended bool // BODYSTRUCTURE
	sections []section
	seen     bool            // a section is not fetched with PEEK
	marked   map[uint32]bool // messages that this command has marked as seen

	shown      int64
	unknownCTE bool
	damaged    error // a message could not be read; the others are shown
}

func (s *session) newFetch(o *imap.FetchOptions) *fetch {
	f := &fetch{s: s, o: o, r: s.newResponse()}
	words := fetchWords(s.guard.arguments())
	f.plain = slices.Contains(words, "BODY") || slices.Contains(words, "FULL")
	f.extended = slices.Contains(words, "BODYSTRUCTURE")
	names := obsoleteNames(words)
	if len(names) != len(o.BodySection) {
		names = make([]string, len(o.BodySection)) // the library has read it otherwise: new names are never wrong
	}
	for i, b := range o.BodySection {
		f.sections = append(f.sections, newSection(f.r, b, names[i]))
		f.seen = f.seen || !b.Peek
	}
	for _, b := range o.BinarySection {
		f.sections = append(f.sections, newBinary(b))
		f.seen = f.seen || !b.Peek
	}
	for _, b := range o.BinarySectionSize {
		f.sections = append(f.sections, newBinarySize(b))
	}
	return f
}

// content reports whether the command reveals content.
func (f *fetch) content() bool {
	return f.o.Envelope || f.o.BodyStructure != nil || len(f.sections) > 0
}

// classes names what is revealed.
func (f *fetch) classes() (fields audit.Fields) {
	var words []string
	if f.o.Envelope {
		words = append(words, "envelope")
	}
	if f.o.BodyStructure != nil {
		words = append(words, "structure")
	}
	for i := range f.sections {
		if !slices.Contains(words, f.sections[i].class) {
			words = append(words, f.sections[i].class)
		}
	}
	for _, w := range words {
		fields = append(fields, audit.Word(audit.KeyClass, w))
	}
	return fields
}

// record writes the read event, and in the same transaction marks messages as seen where the client has not asked to
// peek. Without the right to flag, every fetch is a peek. // AC-4
func (f *fetch) record(ranges []imap.UIDRange) error {
	s := f.s
	read := stored(ranges)
	var unseen []storage.UIDRange
	if f.seen && !s.box.readOnly && s.principal.May(storage.Flag) {
		var err error
		if unseen, err = s.without(read, storage.Seen); err != nil {
			return err
		}
	}
	var changed []storage.MessageFlags
	err := s.write(func(tx *storage.Tx) (err error) {
		e := s.event(audit.MessageRead)
		e.Fields = append(e.Fields, f.classes()...)
		if err := tx.RecordRead(tx.Record(e), s.inbox, s.principal.Credential.ID, s.box.id, read); err != nil || len(unseen) == 0 {
			return err
		}
		changed, err = tx.SetFlags(tx.Record(s.event(audit.MessageFlagged)), s.inbox, s.box.id, unseen, storage.AddFlags, storage.Seen, nil)
		return err
	})
	if err != nil {
		return err
	}
	f.marked = make(map[uint32]bool, len(changed))
	for _, m := range changed {
		f.marked[m.UID] = true
	}
	s.box.did(changed)
	return nil
}

// without finds the messages of a set that do not have a flag.
func (s *session) without(uids []storage.UIDRange, flag storage.Flags) (found []storage.UIDRange, err error) {
	err = s.inbox.Scan(s.ctx, s.box.id, uids, false, func(m *storage.Message) error {
		if m.Flags&flag == 0 {
			found = appendUID(found, m.UID)
		}
		return nil
	})
	return found, err
}

// message writes the response for one message. It runs outside of any transaction.
func (f *fetch) message(m *storage.Message) error {
	seq, ok := f.s.box.view.seq(imap.UID(m.UID))
	if !ok {
		return nil
	}
	if f.o.RFC822Size && m.Size < 0 {
		return f.pass(storage.ErrCorrupt) // what cannot be rendered has no size in the safe view
	}
	var open opened
	if f.content() {
		done, err := f.open(m, &open)
		if err != nil || done == nil {
			return f.pass(err)
		}
		defer done()
	}
	if f.o.Flags || f.marked[m.UID] {
		if err := f.s.nameFlags(f.r, m.Flags); err != nil {
			return err
		}
	}
	f.r.begin(seq)
	f.writeRow(m)
	if err := f.writeContent(&open); err != nil {
		if !f.r.takeBack() {
			return errors.Join(errTorn, err)
		}
		return f.pass(err)
	}
	f.shown++
	return f.r.done()
}

// pass leaves a message out: it was removed meanwhile, or it is damaged, which must not hide the others. Any other error
// ends the command.
func (f *fetch) pass(err error) error {
	if errors.Is(err, storage.ErrCorrupt) {
		f.damaged = err
		return nil
	}
	return err
}

// writeContent writes what reveals content.
func (f *fetch) writeContent(open *opened) error {
	if f.o.Envelope {
		f.r.b = append(f.r.b, "ENVELOPE "...)
		f.r.envelope(&open.structure.Envelope)
		f.r.b = append(f.r.b, ' ')
	}
	f.writeStructure(open)
	for i := range f.sections {
		err := f.sections[i].write(f.r, open)
		if errors.Is(err, errUnknownCTE) {
			f.unknownCTE = true
		} else if err != nil {
			return err
		}
	}
	return nil
}

// open decodes what was stored beside a message, and opens its body if a section is asked for. Its function closes that
// again; it is nil for a message that was removed meanwhile.
func (f *fetch) open(m *storage.Message, open *opened) (done func(), err error) {
	if open.structure, err = message.DecodeStructure(m.Content.Structure); err != nil {
		return nil, errors.Join(storage.ErrCorrupt, err)
	}
	if len(f.sections) == 0 {
		return func() {}, nil
	}
	view, body, err := f.s.view(m)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	open.view = view
	return func() { body.Close() }, nil
}

// view opens a message as its mailbox shows it.
func (s *session) view(m *storage.Message) (*message.View, *storage.Body, error) {
	overlay, err := message.DecodeOverlay(m.Content.Overlay)
	if err != nil {
		return nil, nil, errors.Join(storage.ErrCorrupt, err)
	}
	body, err := s.inbox.OpenBody(s.ctx, m)
	if err != nil {
		return nil, nil, err
	}
	return overlay.View(body, body.Size()), body, nil
}

// writeRow writes what is no content.
func (f *fetch) writeRow(m *storage.Message) {
	if f.o.UID {
		f.r.number("UID ", int64(m.UID))
	}
	if f.o.Flags || f.marked[m.UID] {
		f.r.flagList(m.Flags, f.s.box.keywords)
	}
	if f.o.InternalDate {
		f.r.date(m.Received)
	}
	if f.o.RFC822Size {
		f.r.number("RFC822.SIZE ", m.Size)
	}
}

func (f *fetch) writeStructure(open *opened) {
	if f.o.BodyStructure == nil {
		return
	}
	if f.plain {
		f.r.b = append(f.r.b, "BODY "...)
		f.r.structure(&open.structure.Root, false)
		f.r.b = append(f.r.b, ' ')
	}
	if f.extended {
		f.r.b = append(f.r.b, "BODYSTRUCTURE "...)
		f.r.structure(&open.structure.Root, true)
		f.r.b = append(f.r.b, ' ')
	}
}

// nameFlags sees to it that the client knows the names of all of a message's flags before it reads them.
func (s *session) nameFlags(r *response, f storage.Flags) error {
	if s.box.names(f) {
		return nil
	}
	if err := s.learn(); err != nil {
		return err
	}
	r.namedOnce = false
	r.b = append(r.b, "* FLAGS ("...)
	for i, name := range s.box.flags() {
		if i > 0 {
			r.b = append(r.b, ' ')
		}
		r.b = append(r.b, name...)
	}
	r.b = append(r.b, ")\r\n"...)
	return nil
}

// fetchWords lists the items of a FETCH as the client named them. The library has parsed them, but keeps two things to
// itself: which of several equivalent names was used, and whether BODY was asked for beside BODYSTRUCTURE.
func fetchWords(args []byte) (words []string) {
	i := bytes.IndexAny(args, " (")
	if i < 0 {
		return nil
	}
	for rest := args[i:]; len(rest) > 0; {
		if n := bytes.IndexAny(rest, " ()["); n > 0 {
			words = append(words, string(bytes.ToUpper(rest[:n])))
			rest = rest[n:]
		} else if n < 0 {
			return append(words, string(bytes.ToUpper(rest)))
		}
		if rest[0] != '[' {
			rest = rest[1:]
			continue
		}
		words[len(words)-1] += "["
		rest = rest[sectionEnd(rest):]
	}
	return words
}

// sectionEnd returns the length of "[…]" and of a partial behind it. Strings inside may hold anything.
func sectionEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '"':
			i += quotedEnd(b[i:]) - 1
		case ']':
			if j := bytes.IndexAny(b[i:], " )"); j >= 0 {
				return i + j
			}
			return len(b)
		}
	}
	return len(b)
}

// obsoleteNames returns, for each item that is a body section, the name of RFC 3501 to answer with, or "".
func obsoleteNames(words []string) (names []string) {
	for _, w := range words {
		switch w {
		case "RFC822", "RFC822.HEADER", "RFC822.TEXT":
			names = append(names, w)
		case "RFC822.PEEK":
			names = append(names, "RFC822")
		case "BODY[", "BODY.PEEK[":
			names = append(names, "")
		}
	}
	return names
}
