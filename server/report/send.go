package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/dns"
	"postern/server/message"
	"postern/storage"
	"postern/storage/audit"
)

const (
	interval = time.Minute        // between looks for what is due, in real time
	pause    = time.Hour          // before another try, when names cannot be had
	giveUp   = 3 * 24 * time.Hour // after the end of the day
	batch    = 2000               // reports of one look
	asking   = 30 * time.Second   // for one report's names
	sweeping = 24 * time.Hour
)

// Run sends what is due, and forgets reports that are old, until the context is
// done.
func (o *Office) Run(ctx context.Context) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var swept time.Time
	for {
		if err := o.Send(ctx); err != nil && ctx.Err() == nil {
			o.o.Log.Error("reports could not be sent; they are tried again", "error", err)
		}
		if now := o.o.Now(); now.Sub(swept).Abs() >= sweeping {
			if _, err := o.store.SweepReports(ctx, now.Add(-retention)); err != nil && ctx.Err() == nil {
				o.o.Log.Error("old reports could not be removed", "error", err)
			}
			swept = now
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-o.wake:
		}
	}
}

// Kick has Run look at once, as when the clock was moved. It never blocks.
func (o *Office) Kick() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Send sends the reports of all days that are over. One that cannot be sent now
// keeps the others from nothing.
func (o *Office) Send(ctx context.Context) error {
	due, err := o.store.FeedbackUntil(ctx, dayOf(o.o.Now()), batch)
	if err != nil {
		return err
	}
	var failed error
	for i := range due {
		f := &due[i]
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if o.waits(f) {
			continue
		}
		err := o.send(ctx, f)
		if temporary(err) && o.o.Now().Before(f.Day.Add(24*time.Hour+giveUp)) {
			o.postpone(f)
			continue
		}
		if err != nil && !temporary(err) {
			failed = errors.Join(failed, err)
			continue
		}
		if err != nil {
			failed = errors.Join(failed, o.drop(ctx, f))
		}
	}
	return failed
}

func temporary(err error) bool { return errors.Is(err, dns.ErrTemporary) }

func (o *Office) waits(f *storage.Feedback) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	until, ok := o.later[f.Key()]
	if ok && o.o.Now().Before(until) {
		return true
	}
	delete(o.later, f.Key())
	return false
}

func (o *Office) postpone(f *storage.Feedback) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.later[f.Key()] = o.o.Now().Add(pause)
}

// drop forgets what nobody wants to know.
func (o *Office) drop(ctx context.Context, f *storage.Feedback) error {
	return o.store.Upkeep(ctx, func(u *storage.Upkeep) error { return u.DropFeedback(f) })
}

// send makes one report and puts it into the queue for each who is to be told.
func (o *Office) send(ctx context.Context, f *storage.Feedback) error {
	limited, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	to, err := o.recipients(limited, f)
	if err != nil {
		return err
	}
	sender, inbox, err := o.sender(ctx, f.Org)
	if errors.Is(err, storage.ErrNotFound) || err == nil && len(to) == 0 {
		return o.drop(ctx, f) // nobody asks, or there is no name in which it could go
	}
	if err != nil {
		return err
	}
	e := &envelope{kind: f.Kind, about: f.Domain, from: sender, id: uuid.NewString(), begin: f.Day, end: f.Day.Add(24*time.Hour - time.Second), time: o.o.Now().UTC()}
	rows, err := o.store.FeedbackRows(ctx, f)
	if err != nil {
		return err
	}
	messages, err := e.fill(f, rows)
	if err != nil {
		return err
	}
	return o.post(ctx, f, e, to, inbox, messages)
}

// fill writes the report itself, and returns how many messages or sessions it
// counts.
func (e *envelope) fill(f *storage.Feedback, rows []storage.FeedbackRow) (n int64, err error) {
	var text []byte
	switch f.Kind {
	case storage.ReportDMARC:
		text, n, err = e.aggregate(f, rows)
	case storage.ReportTLS:
		text, n, err = e.tls(f, rows)
	default:
		return 0, fmt.Errorf("report: no report of kind %q", f.Kind)
	}
	e.packed = pack(text)
	return n, err
}

func (e *envelope) aggregate(f *storage.Feedback, rows []storage.FeedbackRow) (text []byte, n int64, err error) {
	a := Aggregate{Organization: e.from.Domain, Contact: e.from.String(), ID: e.id, Begin: e.begin, End: e.end}
	if err := json.Unmarshal(f.Policy, &a.Published); err != nil {
		return nil, 0, err
	}
	for _, r := range rows {
		var row Row
		if err := json.Unmarshal(r.Row, &row); err != nil {
			return nil, 0, err
		}
		row.Count = r.Count
		n += r.Count
		a.Rows = append(a.Rows, row)
	}
	e.content = a
	text, err = a.XML()
	return text, n, err
}

func (e *envelope) tls(f *storage.Feedback, rows []storage.FeedbackRow) (text []byte, n int64, err error) {
	t := TLSReport{Organization: e.from.Domain, Contact: e.from.String(), ID: e.id, Period: TLSPeriod{e.begin, e.end}}
	places := map[string]int{} // of policies, by type and text
	for _, r := range rows {
		var row tlsRow
		if err := json.Unmarshal(r.Row, &row); err != nil {
			return nil, 0, err
		}
		key := row.Type + "\n" + strings.Join(row.Text, "\n")
		at, ok := places[key]
		if !ok {
			at = len(t.Policies)
			places[key] = at
			t.Policies = append(t.Policies, TLSPolicy{Policy: TLSPublished{Type: row.Type, Text: row.Text, Domain: f.Domain}})
		}
		p := &t.Policies[at]
		n += r.Count
		if row.Failure == "" {
			p.Summary.Successes += r.Count
			continue
		}
		p.Summary.Failures += r.Count
		p.Failures = append(p.Failures, TLSFailure{Type: row.Failure, Host: row.Host, Receiving: row.Remote, Sessions: r.Count})
	}
	e.content = t
	text, err = t.JSON()
	return text, n, err
}

// post puts the letters into the queue and forgets what they say, at once.
func (o *Office) post(ctx context.Context, f *storage.Feedback, e *envelope, to []destination, inbox uuid.UUID, messages int64) error {
	var letters []Prepared
	defer func() {
		for _, l := range letters {
			l.Discard()
		}
	}()
	var told audit.Fields
	var inside []*storage.Report
	for _, d := range to {
		r, err := o.inside(ctx, d.to, f, e)
		if err != nil {
			return err
		}
		if r != nil {
			inside, told = append(inside, r), append(told, audit.Text(audit.KeyTo, d.to.String()))
			continue
		}
		if d.limit > 0 && int64(len(e.packed)) > d.limit {
			o.o.Log.Info("a report is larger than who asked for it wants", "bytes", len(e.packed), "limit", d.limit)
			continue
		}
		id := message.NewMessageID(e.from.Domain)
		l, err := o.o.Post(ctx, Letter{Org: f.Org, Inbox: inbox, To: d.to, MessageID: id, Data: e.letter(d.to, id)})
		if err != nil {
			return err
		}
		letters = append(letters, l)
		told = append(told, audit.Text(audit.KeyTo, d.to.String()))
	}
	if len(letters)+len(inside) == 0 {
		return o.drop(ctx, f)
	}
	err := o.store.Write(ctx, storage.System, func(tx *storage.Tx) error {
		for _, l := range letters {
			if err := l.Store(tx); err != nil {
				return err
			}
		}
		for _, r := range inside {
			fresh := *r // the function may run twice
			if err := store(tx, &fresh); err != nil {
				return err
			}
		}
		tx.Record(audit.Event{Verb: audit.ReportSent, Outcome: audit.OK, Org: f.Org,
			Fields: audit.Fields{audit.Word(audit.KeyKind, string(f.Kind)), audit.Int(audit.KeyCount, messages),
				audit.Time(audit.KeyFirst, e.begin), audit.Time(audit.KeyLast, e.end)},
			Personal: append(audit.Fields{audit.Text(audit.KeyDomain, f.Domain), audit.Text(audit.KeyReportID, e.id)}, told...)})
		return tx.Upkeep().DropFeedback(f)
	})
	if err == nil {
		o.o.Kick()
	}
	return err
}

// inside is the report as this server itself keeps it, when it is for the address of
// one of its own domains: no mail is sent for that. Nil: it is for somebody else.
func (o *Office) inside(ctx context.Context, to message.Path, f *storage.Feedback, e *envelope) (*storage.Report, error) {
	if to.Local != Local {
		return nil, nil
	}
	d, err := o.store.DomainByName(ctx, to.Domain)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r := &storage.Report{Head: storage.Head{Org: d.Org}, Kind: f.Kind, Reporter: e.from.Domain, ReportID: e.id, Begin: e.begin, End: e.end}
	if r.Content, err = json.Marshal(e.content); err != nil {
		return nil, err
	}
	err = o.attribute(ctx, r, f.Domain)
	if errors.Is(err, foreign) {
		return nil, nil
	}
	return r, err
}

// sender finds in whose name an organization reports: the first of its domains
// that is its own and has a live inbox. ErrNotFound when there is none.
func (o *Office) sender(ctx context.Context, org uuid.UUID) (message.Path, uuid.UUID, error) {
	for after := uuid.Nil; ; {
		some, err := o.store.InboxRecords(ctx, org, after, 100)
		if err != nil {
			return message.Path{}, uuid.Nil, err
		}
		if len(some) == 0 {
			return message.Path{}, uuid.Nil, storage.ErrNotFound
		}
		for _, in := range some {
			after = in.ID
			if in.Env != storage.Live { // AC-14: nothing of a test inbox leaves
				continue
			}
			d, err := o.store.Domain(ctx, org, in.Domain)
			if err != nil {
				return message.Path{}, uuid.Nil, err
			}
			if d.Owned {
				return message.Path{Local: Local, Domain: d.Name}, in.ID, nil
			}
		}
	}
}
