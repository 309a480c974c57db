package control

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/server/directory"
	"postern/server/message"
	"postern/server/msgauth"
	"postern/server/policy"
	"postern/storage"
	"postern/storage/audit"
)

// Listed is what is known of a message in a mailbox. It has nothing of what it says;
// Subject counts as content.
type Listed struct {
	Message   uuid.UUID `json:"message"` // one for all copies, as in the log
	UID       uint32    `json:"uid"`
	Received  time.Time `json:"received_at"`
	Date      time.Time `json:"date,omitzero"` // that the message bears
	From      string    `json:"from"`          // address in the From field
	To        []string  `json:"to"`            // addresses in To and Cc, of which there are at most 20
	Size      int64     `json:"size"`
	Parts     int       `json:"attachments"`
	Sender    string    `json:"sender"` // whether it comes from there: DMARC result, or local, or none
	SPF       string    `json:"spf,omitempty"`
	DKIM      string    `json:"dkim,omitempty"`
	DMARC     string    `json:"dmarc,omitempty"`
	Verdict   string    `json:"verdict"`
	Score     float32   `json:"score"`
	Seen      bool      `json:"seen"` // by an agent
	MessageID string    `json:"message_id"`
	Answers   string    `json:"in_reply_to,omitempty"`
	Subject   string    `json:"subject,omitempty"` // where policy shows it (list-subjects), to who may see content
}

// MessageQuery asks which messages are in a mailbox, the newest first.
type MessageQuery struct {
	Inbox   string `json:"inbox"`
	Mailbox string `json:"mailbox,omitempty"` // empty: INBOX; "Quarantine" is where no agent sees them
	Match   string `json:"match,omitempty"`   // words, and operators: see MatchHelp
	Below   uint32 `json:"below,omitempty"`   // only UIDs below; as Next of the page before
	Limit   int    `json:"limit,omitempty"`   // of messages; 0: 50, at most 500
}

// MessagePage is a page of a mailbox.
type MessagePage struct {
	Mailbox   string    `json:"mailbox"`
	Mailboxes []Mailbox `json:"mailboxes"`
	Subjects  bool      `json:"subjects"` // they are shown
	Messages  []Listed  `json:"messages"`
	Looked    int       `json:"looked"`         // at so many messages
	Next      uint32    `json:"next,omitempty"` // for Below; 0: that is all
}

// Mailbox is a folder of an inbox.
type Mailbox struct {
	Name     string `json:"name"`
	Messages uint32 `json:"messages"`
	Unseen   uint32 `json:"unseen"`
}

// Bounds of a page.
const (
	usualPage  = 50
	maxPage    = 500
	maxLooked  = 2000 // messages that one page looks at, when it is filtered
	maxMatch   = 1000 // bytes
	maxShownTo = 20
)

func (s *Server) listingCommands() {
	answer(s, "message.list", s.messageList)
	answer(s, "message.show", s.messageShow)
}

// Messages lists which messages are in a mailbox. That somebody looked is an event.
func (c *Client) Messages(ctx context.Context, q MessageQuery) (MessagePage, error) {
	return ask[MessageQuery, MessagePage](ctx, c, "message.list", q)
}

func (s *Server) messageList(ctx context.Context, by caller, q MessageQuery) (MessagePage, error) {
	match, err := parseMatch(q.Match)
	if err != nil {
		return MessagePage{}, err
	}
	in, err := s.openInbox(ctx, by, q.Inbox)
	if err != nil {
		return MessagePage{}, err
	}
	box, all, err := mailboxNamed(ctx, in, q.Mailbox)
	if err != nil {
		return MessagePage{}, err
	}
	p := MessagePage{Mailbox: box.Name, Mailboxes: all, Messages: []Listed{}}
	if p.Subjects, err = s.showsSubjects(ctx, by, in); err != nil {
		return p, err
	}
	if match.wants("subject") && !p.Subjects {
		return p, &Error{Code: Refused, Message: "subjects are content and not shown here (list-subjects): no list can be filtered by them"}
	}
	if err := p.read(ctx, in, box.ID, q, match); err != nil {
		return p, err
	}
	return p, s.recordListed(ctx, by, in, box, p.Messages)
}

// openInbox opens an inbox of the caller's organization by its address. // AC-19
func (s *Server) openInbox(ctx context.Context, by caller, address string) (*storage.Inbox, error) {
	rec, err := s.inbox(ctx, by, address)
	if err != nil {
		return nil, err
	}
	in, err := s.Store.OpenInbox(ctx, by.org, rec.ID)
	return in, missing(err, "inbox", address)
}

// mailboxNamed finds a mailbox by the name that people see, and lists all.
func mailboxNamed(ctx context.Context, in *storage.Inbox, name string) (found storage.Mailbox, all []Mailbox, err error) {
	boxes, err := in.Mailboxes(ctx)
	if err != nil {
		return found, nil, err
	}
	ok := false
	for _, b := range boxes {
		all = append(all, Mailbox{b.Name, b.Messages, b.Unseen})
		if b.Name == name || name == "" && b.Role == storage.RoleInbox {
			found, ok = b, true
		}
	}
	if !ok {
		return found, nil, missing(storage.ErrNotFound, "mailbox", name)
	}
	return found, all, nil
}

// showsSubjects reports whether lists of an inbox show subjects to the caller: policy
// says so, and they may see content anyway. // AC-15
func (s *Server) showsSubjects(ctx context.Context, by caller, in *storage.Inbox) (bool, error) {
	if by.may(directory.ActContent) != nil {
		return false, nil
	}
	rules, err := s.readingRules(ctx, in)
	return rules.Subjects, err
}

func (s *Server) readingRules(ctx context.Context, in *storage.Inbox) (policy.Reading, error) {
	rules, err := policy.Load(ctx, s.Store, policy.Subjects{Organization: in.Org(), Domain: in.Domain(), Inbox: in.ID()})
	return rules.Reading, err
}

// read fills the page. A filter looks at a bounded number of messages, and the page
// says where the next one goes on.
func (p *MessagePage) read(ctx context.Context, in *storage.Inbox, mailbox uuid.UUID, q MessageQuery, match match) error {
	limit := min(max(q.Limit, 0), maxPage)
	if limit == 0 {
		limit = usualPage
	}
	looked := maxLooked
	if len(match) == 0 {
		looked = limit
	}
	for below := q.Below; ; below = p.Next {
		uids, err := in.NewestUIDs(ctx, mailbox, below, min(maxPage, looked-p.Looked))
		if err != nil {
			return err
		}
		if p.Next = 0; len(uids) == 0 {
			return nil
		}
		rows, err := p.rows(ctx, in, mailbox, uids)
		if err != nil {
			return err
		}
		for i := range rows {
			p.Looked++
			if p.Next = rows[i].UID; match.holds(&rows[i]) {
				p.Messages = append(p.Messages, rows[i])
			}
			if len(p.Messages) == limit {
				break
			}
		}
		if p.Next == 1 || len(rows) == 0 {
			p.Next = 0
		}
		if len(p.Messages) == limit || p.Looked >= looked || p.Next == 0 {
			return nil
		}
	}
}

// rows reads messages, the newest first.
func (p *MessagePage) rows(ctx context.Context, in *storage.Inbox, mailbox uuid.UUID, uids []uint32) (all []Listed, err error) {
	var set []storage.UIDRange
	for _, uid := range slices.Backward(uids) {
		set = append(set, storage.UIDRange{First: uid, Last: uid})
	}
	err = in.Scan(ctx, mailbox, set, true, func(m *storage.Message) error {
		row, err := listed(m, p.Subjects)
		all = append(all, row)
		return err
	})
	slices.Reverse(all)
	return all, err
}

// listed is what is known of a message.
func listed(m *storage.Message, subject bool) (Listed, error) {
	parsed, err := message.DecodeStructure(m.Content.Structure)
	if err != nil {
		return Listed{}, fmt.Errorf("%w: structure of message %s", storage.ErrCorrupt, m.ID)
	}
	auth, err := msgauth.DecodeResults(m.Content.Auth)
	if err != nil {
		return Listed{}, fmt.Errorf("%w: authentication results of message %s", storage.ErrCorrupt, m.ID)
	}
	e := &parsed.Envelope
	row := Listed{Message: m.ID, UID: m.UID, Received: m.Received, Date: e.Time, Size: m.Size, Parts: len(attachments(&parsed.Root)),
		Verdict: m.Content.Verdict.String(), Score: m.Content.Score, Seen: m.Flags&storage.Seen != 0, MessageID: m.Content.MessageID, Answers: e.InReplyTo,
		To: addresses(slices.Concat(e.To, e.Cc), maxShownTo)}
	if from := addresses(e.From, 1); len(from) > 0 {
		row.From = from[0]
	}
	w := waiting{m: *m, auth: auth}
	row.Sender = w.sender()
	if m.Content.Origin == storage.OriginMX {
		row.SPF, row.DKIM, row.DMARC = w.proofs()
	}
	if subject {
		row.Subject = message.DecodeWords(e.Subject)
	}
	return row, nil
}

// proofs are what was found out about the sender, in the words of RFC 8601.
func (w *waiting) proofs() (spf, dkim, dmarc string) {
	dkim = msgauth.None.String()
	for _, d := range w.auth.DKIM {
		if dkim != msgauth.Pass.String() {
			dkim = d.Value.String()
		}
	}
	return w.auth.SPF.Value.String(), dkim, w.auth.DMARC.Value.String()
}

// addresses are the first mailboxes of a list, without names.
func addresses(list []message.Address, limit int) []string {
	all := []string{}
	for _, a := range list {
		if a.IsGroupStart() || a.IsGroupEnd() || len(all) == limit {
			continue
		}
		all = append(all, a.Mailbox+"@"+a.Host)
	}
	return all
}

// recordListed leaves the event of a list before its first byte. Who wrote to whom is
// content (invariant 3).
func (s *Server) recordListed(ctx context.Context, by caller, in *storage.Inbox, box storage.Mailbox, rows []Listed) error {
	var uids []uint32
	for _, r := range slices.Backward(rows) {
		uids = append(uids, r.UID)
	}
	return s.Store.Write(ctx, by.Actor, func(tx *storage.Tx) error {
		e := audit.Event{Verb: audit.MessageListed, Outcome: audit.OK, Org: in.Org(), Inbox: in.ID(), Mailbox: box.ID, Fields: audit.Fields{
			audit.Word(audit.KeyClass, "envelope"), audit.Word(audit.KeyMailboxRole, box.Role.String()), audit.Int(audit.KeyCount, len(rows))}}
		if len(uids) > 0 {
			e.Fields = append(e.Fields, audit.Set(audit.KeyUIDs, audit.UIDsOf(uids...)))
		}
		tx.Record(e)
		return nil
	})
}

// MessageID names one message.
type MessageID struct {
	ID    string `json:"id"`              // as in the log
	Inbox string `json:"inbox,omitempty"` // of its copies that in this inbox; empty: the oldest
}

// MessageShown is what is known of one message, and who may read it.
type MessageShown struct {
	Listed
	Inbox       string       `json:"inbox"`
	Mailbox     string       `json:"mailbox"`
	SHA256      string       `json:"sha256"`
	Attachments []Attachment `json:"files"` // without names, which are content
	Scorings    []Judgement  `json:"scorings"`
	Persons     int          `json:"persons"` // that it takes to read it
	Grants      []Glass      `json:"grants"`  // the newest first
}

// Message shows what is known of one message. That somebody looked is an event.
func (c *Client) Message(ctx context.Context, q MessageID) (MessageShown, error) {
	return ask[MessageID, MessageShown](ctx, c, "message.show", q)
}

func (s *Server) messageShow(ctx context.Context, by caller, q MessageID) (MessageShown, error) {
	box, w, err := s.findMessage(ctx, by, q)
	if err != nil {
		return MessageShown{}, err
	}
	subjects, err := s.showsSubjects(ctx, by, w.inbox)
	if err != nil {
		return MessageShown{}, err
	}
	row, err := listed(&w.m, subjects)
	if err != nil {
		return MessageShown{}, err
	}
	shown := MessageShown{Listed: row, Inbox: w.inbox.Address(), Mailbox: box.Name, SHA256: fmt.Sprintf("%x", w.m.Content.SHA256), Scorings: []Judgement{}}
	if err := shown.explain(ctx, s, &w); err != nil {
		return shown, err
	}
	return shown, s.recordListed(ctx, by, w.inbox, box, []Listed{row})
}

// explain adds what the list does not have.
func (m *MessageShown) explain(ctx context.Context, s *Server, w *waiting) error {
	parsed, err := message.DecodeStructure(w.m.Content.Structure)
	if err != nil {
		return err
	}
	m.Attachments = attachments(&parsed.Root)
	for i := range m.Attachments {
		m.Attachments[i].Name = ""
	}
	scorings, err := w.m.Scorings()
	if err != nil {
		return err
	}
	for _, run := range scorings {
		m.Scorings = append(m.Scorings, judgement(run))
	}
	rules, err := s.readingRules(ctx, w.inbox)
	if err != nil {
		return err
	}
	m.Persons = max(1, rules.Persons)
	grants, err := s.Store.GlassesOf(ctx, w.inbox.Org(), w.m.ID)
	m.Grants = []Glass{}
	for i := range grants {
		if grants[i].Inbox == w.inbox.ID() {
			m.Grants = append(m.Grants, s.glassView(&grants[i], m.Inbox))
		}
	}
	return err
}

// findMessage finds the copy of a message in an inbox of the caller's organization. A
// message of another one is not there. // AC-19
func (s *Server) findMessage(ctx context.Context, by caller, q MessageID) (box storage.Mailbox, w waiting, err error) {
	id, err := uuid.Parse(q.ID)
	if err != nil {
		return box, w, invalid("%q is no id of a message: postern message list shows them", q.ID)
	}
	var only uuid.UUID
	if q.Inbox != "" {
		rec, err := s.inbox(ctx, by, q.Inbox)
		if err != nil {
			return box, w, err
		}
		only = rec.ID
	}
	where, w, err := s.copyIn(ctx, by.org, id, only)
	if err != nil {
		return box, w, missing(err, "message", q.ID)
	}
	box, err = w.inbox.Mailbox(ctx, where.Mailbox)
	return box, w, missing(err, "message", q.ID)
}

// match is what a list is filtered by: all of it must hold.
type match []matcher

type matcher struct {
	key, value string // in lower case
	not        bool
	at         time.Time // of since and until
}

// MatchHelp says what a filter of messages may say, in two lines.
const MatchHelp = "from: to: sender: verdict: id: has:attachment subject: since: until:, - in front to\nnegate; other words stand in an address or a Message-ID"

// parseMatch reads a filter.
func parseMatch(text string) (match, error) {
	if len(text) > maxMatch {
		return nil, invalid("the filter is longer than %d bytes", maxMatch)
	}
	var all match
	for word := range strings.FieldsSeq(strings.ToLower(text)) {
		var m matcher
		word, m.not = strings.CutPrefix(word, "-")
		var ok bool
		if m.key, m.value, ok = strings.Cut(word, ":"); !ok {
			m.key, m.value = "", word
		}
		if m.value == "" {
			continue
		}
		if err := m.check(); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

func (m *matcher) check() (err error) {
	switch m.key {
	case "", "from", "to", "sender", "verdict", "id", "subject":
		return nil
	case "has":
		if m.value == "attachment" {
			return nil
		}
	case "since", "until":
		for _, form := range []string{time.DateOnly, time.RFC3339} {
			if m.at, err = time.Parse(form, strings.ToUpper(m.value)); err == nil {
				return nil
			}
		}
	}
	return invalid("%q is no filter of messages: %s", m.key+":"+m.value, strings.ReplaceAll(MatchHelp, "\n", " "))
}

func (f match) wants(key string) bool {
	return slices.ContainsFunc(f, func(m matcher) bool { return m.key == key })
}

func (f match) holds(row *Listed) bool {
	return !slices.ContainsFunc(f, func(m matcher) bool { return m.holds(row) == m.not })
}

func (m *matcher) holds(row *Listed) bool {
	has := func(texts ...string) bool {
		return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(strings.ToLower(t), m.value) })
	}
	switch m.key {
	case "from":
		return has(row.From)
	case "to":
		return has(row.To...)
	case "sender":
		return row.Sender == m.value
	case "verdict":
		return row.Verdict == m.value
	case "id":
		return has(row.MessageID, row.Message.String())
	case "subject":
		return has(row.Subject)
	case "has":
		return row.Parts > 0
	case "since":
		return !row.Received.Before(m.at)
	case "until":
		return row.Received.Before(m.at)
	}
	return has(append([]string{row.From, row.MessageID}, row.To...)...)
}
