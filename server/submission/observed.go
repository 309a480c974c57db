package submission

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/server/message"
	"postern/storage"
	"postern/storage/audit"
)

// Bounds of what is looked at for one message, and from where on it is told.
const (
	maxCompared  = 16 // messages that the agent read last, whose text is compared
	maxQuotes    = 4  // messages that are named
	leastShare   = 10 // percent of the content that stands in a message, to name it
	forwardShare = 50 // percent of the content, or of the message, to call it forwarded
	leastForward = 8  // hashes that are forwarded at least: some thirty words
)

// observed is what the server knows of where a message comes from, whatever the
// agent says. // AU-3
type observed struct {
	reads   []storage.RecentRead // of the agent, by any of its credentials, oldest first
	answers *audit.Event         // the arrival of the message that it answers; nil: none is here
	foreign bool                 // that message was written by somebody else
	readAgo time.Duration        // how long ago the agent saw its text; negative: not lately
	quotes  []quote              // by share
	remarks []string

	arrived map[string][]audit.Event // by Message-ID, what was looked up in the inbox from which it is sent
}

// quote is a message whose text the content has in common.
type quote struct {
	id    uuid.UUID
	share int // percent of the content
}

// observe gathers it.
func (o *Outbound) observe(ctx context.Context, m *submission) (v observed, err error) {
	p := m.s.Principal
	if v.reads, err = o.store.RecentReads(ctx, p.Agent.ID); err != nil {
		return v, err
	}
	if err := o.findAnswered(ctx, m, &v); err != nil {
		return v, err
	}
	if forwardsMessage(m.whole) {
		v.remark("forwards-attached")
	}
	if unseen(m.whole) {
		v.remark("forwards-unseen")
	}
	return v, o.compare(ctx, m, &v)
}

// findAnswered finds the message that this one answers, in the inbox from which
// it is sent.
func (o *Outbound) findAnswered(ctx context.Context, m *submission, v *observed) error {
	v.readAgo = -1
	id := answered(m)
	if id == "" {
		return nil
	}
	all, err := m.s.Principal.Inbox.Arrivals(ctx, id)
	if err != nil {
		return err
	}
	v.arrived = map[string][]audit.Event{id: all}
	for i := range all {
		// Its own mail has the agent as actor, also where it was delivered.
		foreign := all[i].Actor.ID != m.s.Principal.Agent.ID && all[i].Verb != audit.MessageSubmitted && all[i].Verb != audit.MessageAppended
		if v.answers == nil || foreign {
			v.answers, v.foreign = &all[i], foreign
		}
	}
	if v.answers == nil {
		return nil
	}
	if r := v.lastRead(v.answers); r != nil {
		v.readAgo = max(o.o.Now().Sub(r.Time), 0)
	}
	return nil
}

// answered is the Message-ID that a message answers: In-Reply-To, or else the last
// of References (RFC 5322, section 3.6.4).
func answered(m *submission) string {
	if ids, _ := message.MessageIDs(m.whole.Envelope.InReplyTo); len(ids) > 0 {
		return ids[0]
	}
	references, _ := message.Lookup(m.header, "references")
	if ids, _ := message.MessageIDs(references[max(strings.LastIndexByte(references, '<'), 0):]); len(ids) > 0 {
		return ids[0]
	}
	return ""
}

// lastRead is the last time at which the agent saw the text of a message where it
// arrived; nil when it did not lately.
func (v *observed) lastRead(arrival *audit.Event) *storage.RecentRead {
	uid, _ := arrival.Fields.Int(audit.KeyUID)
	for i := len(v.reads) - 1; i >= 0; i-- {
		if r := &v.reads[i]; r.Text && r.Mailbox == arrival.Mailbox && r.UIDs.Contains(uint32(uid)) {
			return r
		}
	}
	return nil
}

// forwardsMessage reports whether a message has another one inside: as a part, in
// an encoding that hides that it is one, or as a file.
func forwardsMessage(s *message.Structure) bool {
	var inside func(p *message.Part) bool
	inside = func(p *message.Part) bool {
		return p.Message != nil || strings.HasSuffix(strings.ToLower(p.Filename()), ".eml") || slices.ContainsFunc(p.Children, func(c message.Part) bool { return inside(&c) })
	}
	return s.Defects.Has(message.DefectEncodedContainer) || inside(&s.Root)
}

// seen is a message that the agent saw.
type seen struct {
	place
	inbox uuid.UUID
	since uint64 // when it stood there
}

// lately are the messages whose text the agent saw last, the newest first, behind
// the one that is answered.
func (v *observed) lately(in *storage.Inbox) (all []seen) {
	known := map[place]bool{}
	add := func(s seen) {
		if !known[s.place] {
			known[s.place] = true
			all = append(all, s)
		}
	}
	if v.answers != nil {
		uid, _ := v.answers.Fields.Int(audit.KeyUID)
		add(seen{place{v.answers.Mailbox, uint32(uid)}, in.ID(), v.answers.Seq})
	}
	for i := len(v.reads) - 1; i >= 0 && len(all) < maxCompared; i-- {
		r := &v.reads[i]
		for j := len(r.UIDs) - 1; r.Text && j >= 0 && len(all) < maxCompared; j-- {
			for uid := r.UIDs[j].Last; uid >= r.UIDs[j].First && uid > 0 && len(all) < maxCompared; uid-- {
				add(seen{place{r.Mailbox, uid}, r.Inbox, r.Seq})
			}
		}
	}
	return all
}

// compare finds text that the content has in common with what the agent saw. Of a
// long text not all is looked at, and what is not may be anybody's.
func (o *Outbound) compare(ctx context.Context, m *submission, v *observed) error {
	all := v.lately(m.s.Principal.Inbox)
	if len(all) == 0 {
		return nil
	}
	content, whole := printsOf(m.s.Stage, &m.whole.Root)
	if !whole {
		v.remark("forwards-unseen")
	}
	if len(content) < leastPrints {
		return nil
	}
	forwards := false
	for _, s := range all {
		other, err := o.recall(ctx, m, s)
		if err != nil {
			return err
		}
		if other == nil || other.own {
			continue
		}
		shared := content.shared(other.prints)
		share := content.percent(shared)
		if share >= leastShare {
			v.quotes = append(v.quotes, quote{other.id, share})
		}
		much := max(share, other.prints.percent(shared)) >= forwardShare && shared >= leastForward
		forwards = forwards || much && strangers(m.s.To, other.parties)
	}
	slices.SortStableFunc(v.quotes, func(a, b quote) int { return cmp.Compare(b.share, a.share) })
	v.quotes = v.quotes[:min(len(v.quotes), maxQuotes)]
	if forwards {
		v.remark("forwards-text")
	}
	return nil
}

// remark notes a word, once.
func (v *observed) remark(word string) {
	if !slices.Contains(v.remarks, word) {
		v.remarks = append(v.remarks, word)
	}
}

// strangers reports whether one of the recipients is no party of a message.
func strangers(to []message.Path, parties []string) bool {
	return slices.ContainsFunc(to, func(p message.Path) bool { return !slices.Contains(parties, p.Canonical().String()) })
}

// recall says what is known of a message that the agent saw; nil when it is gone.
// A message that does not open is as good as gone here: it must not keep the agent
// from sending.
func (o *Outbound) recall(ctx context.Context, m *submission, s seen) (*read, error) {
	if known := o.readings.get(s.place); known != nil {
		return known, nil
	}
	in := m.s.Principal.Inbox
	if s.inbox != in.ID() {
		var err error
		if in, err = o.store.OpenInbox(ctx, in.Org(), s.inbox); err != nil {
			return nil, unlessGone(err)
		}
	}
	found, err := look(ctx, in, s.place)
	if found == nil && err == nil {
		mailbox, uid, gone := in.Whereabouts(ctx, s.mailbox, s.uid, s.since)
		if gone != nil {
			return nil, unlessGone(gone)
		}
		found, err = look(ctx, in, place{mailbox, uid})
	}
	if found != nil {
		o.readings.put(s.place, found)
	}
	return found, unlessGone(err)
}

func unlessGone(err error) error {
	if errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrCorrupt) {
		return nil
	}
	return err
}

// look reads a message where it stands; nil when it does not.
func look(ctx context.Context, in *storage.Inbox, at place) (found *read, err error) {
	err = in.Scan(ctx, at.mailbox, []storage.UIDRange{{First: at.uid, Last: at.uid}}, true, func(s *storage.Message) error {
		structure, err := message.DecodeStructure(s.Content.Structure)
		if err != nil {
			return nil
		}
		overlay, err := message.DecodeOverlay(s.Content.Overlay)
		if err != nil {
			return nil
		}
		body, err := in.OpenBody(ctx, s)
		if err != nil {
			return err
		}
		defer body.Close()
		found = &read{id: s.ID}
		found.prints, _ = printsOf(overlay.View(body, body.Size()), &structure.Root)
		env := &structure.Envelope
		from := addresses(env.From)
		found.own = len(from) == 1 && from[0] == in.Address() && s.Content.Origin != storage.OriginMX
		found.parties = slices.Concat(from, addresses(env.Sender), addresses(env.ReplyTo), addresses(env.To), addresses(env.Cc), []string{in.Address()})
		return nil
	})
	return found, err
}

// fields are what a submission's event says of it.
func (v *observed) fields() (f audit.Fields) {
	var reads audit.UIDs
	for _, r := range v.reads {
		if r.Seq > 0 && r.Seq <= math.MaxUint32 {
			reads.Add(uint32(r.Seq), uint32(r.Seq))
		}
	}
	if len(reads) > 0 {
		f = append(f, audit.Set(audit.KeyReads, reads))
	}
	if v.answers != nil {
		f = append(f, audit.ID(audit.KeyAnswers, v.answers.Object))
		if sum, ok := v.answers.Fields.Get(audit.KeySHA256).([]byte); ok {
			f = append(f, audit.Digest(audit.KeyAnswersSHA256, sum)) // AU-5
		}
	}
	if v.readAgo >= 0 {
		f = append(f, audit.Int(audit.KeyMillis, v.readAgo.Milliseconds()))
	}
	for _, q := range v.quotes {
		f = append(f, audit.ID(audit.KeyQuotes, q.id), audit.Int(audit.KeyShare, q.share))
	}
	for _, word := range v.remarks {
		f = append(f, audit.Word(audit.KeyRemark, word))
	}
	return f
}

// forwards reports whether content of other messages is passed on. // PI-6
func (v *observed) forwards() bool {
	return slices.ContainsFunc(v.remarks, func(word string) bool { return strings.HasPrefix(word, "forwards-") })
}
