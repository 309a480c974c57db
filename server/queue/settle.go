package queue

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"postern/storage"
	"postern/storage/audit"
)

// Times between tries to record a result. The message may have been delivered,
// so its row must not simply be tried again.
const (
	recordFirst = 100 * time.Millisecond
	recordLast  = 30 * time.Second
	recordTries = 20
)

// notTried is when rows are due again for which the transport had no room.
const notTried = 30 * time.Second

// whileFrozen is when rows are looked at again whose sender is frozen, and so
// about how long they wait when the freeze is lifted.
const whileFrozen = time.Minute

// verdict is what follows for one recipient.
type verdict struct {
	o    storage.Outgoing
	r    Result
	verb audit.Verb
	next time.Time // for QueueAttempt

	decision Decision // of people, that ended it; zero: none
}

// settle records the results of an attempt, once, and reports whether it was the last
// for all.
func (l *lane) settle(ctx context.Context, b batch, items []Item, results []Result) (over bool) {
	var verdicts []verdict
	var rows, returned []storage.DueOutgoing
	now := l.q.o.Now()
	for i, r := range results {
		o := &items[i].Outgoing
		if r.Outcome == NotTried {
			returned = append(returned, rowOf(o))
			continue
		}
		rows, verdicts = append(rows, rowOf(o)), append(verdicts, l.q.judge(*o, r, now))
	}
	if len(returned) > 0 {
		l.giveBack(ctx, notTried, returned)
	}
	if len(verdicts) == 0 {
		return false
	}
	write := l.q.store.Write
	if b.first.patient {
		write = l.q.store.WritePatiently
	}
	taken := true
	recorded := l.q.persist(ctx, func(ctx context.Context) error {
		err := l.q.record(ctx, write, verdicts)
		var undone *undoneError
		if errors.As(err, &undone) {
			verdicts = l.q.undone(verdicts, undone)
			err = l.q.record(ctx, write, verdicts)
		}
		if l.local && errors.Is(err, storage.ErrConflict) {
			// Nothing was delivered: somebody was quicker who holds, ends or erases it.
			l.giveBack(ctx, notTried, rows)
			taken = false
			return nil
		}
		return err
	})
	again := slices.ContainsFunc(verdicts, func(v verdict) bool { return v.verb == audit.QueueAttempt })
	return recorded && taken && !again && len(returned) == 0
}

// undoneError: what a transport had made ready could not be stored.
type undoneError struct {
	deposit *Deposit
	cause   error
}

func (e *undoneError) Error() string { return "queue: a delivery was not stored: " + e.cause.Error() }
func (e *undoneError) Unwrap() error { return e.cause }

// undone judges anew those that were delivered but for the storing.
func (q *Queue) undone(verdicts []verdict, e *undoneError) []verdict {
	verdicts = slices.Clone(verdicts)
	r := e.deposit.Failed(e.cause)
	for i, v := range verdicts {
		if v.r.Deposit == e.deposit {
			verdicts[i] = q.judge(v.o, r, q.o.Now())
		}
	}
	return verdicts
}

// deposit stores what transports have made ready, each once.
func deposit(tx *storage.Tx, verdicts []verdict) error {
	var last *Deposit
	for _, v := range verdicts {
		if v.r.Deposit == nil || v.r.Deposit == last {
			continue
		}
		last = v.r.Deposit
		if err := last.Store(tx); err != nil {
			return &undoneError{last, err}
		}
	}
	return nil
}

// judge decides what a result means for a recipient.
func (q *Queue) judge(o storage.Outgoing, r Result, now time.Time) verdict {
	v := verdict{o: o, r: r}
	switch {
	case r.Outcome == Delivered:
		v.verb = audit.QueueDelivered
	case r.Outcome == Permanent:
		v.verb = audit.QueueFailed
	case !now.Before(o.Expires):
		v.verb = audit.QueueExpired
	default:
		v.verb = audit.QueueAttempt
		pause := q.o.Schedule[min(max(o.Attempts, 1), len(q.o.Schedule))-1]
		v.next = now.Add(jitter(pause))
		if v.next.After(o.Expires) {
			v.next = o.Expires // one last attempt, and then it is over
		}
	}
	return v
}

// jitter adds up to a tenth, so that what failed together is not tried together.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration(rand.Int64N(int64(d)/10+1))
}

// persist runs a write until it succeeds, also when the context is done, but then
// once. When the disk stays full the rows stay leased, and are tried again when
// the lease ends. It reports whether it succeeded.
func (q *Queue) persist(ctx context.Context, write func(context.Context) error) bool {
	pause := recordFirst
	for try := 1; ; try++ {
		err := write(context.WithoutCancel(ctx))
		if err == nil {
			return true
		}
		q.o.Log.Error("the result of an attempt could not be recorded", "try", try, "error", err)
		if try == recordTries || errors.Is(err, storage.ErrConflict) || errors.Is(err, storage.ErrCorrupt) {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
		pause = min(2*pause, recordLast)
	}
}

// writeFunc is how urgent a transaction is.
type writeFunc func(context.Context, audit.Actor, func(*storage.Tx) error) error

// record writes results, stores what is delivered inside, removes the rows that are
// over, and stores the report of those that failed, in one transaction.
func (q *Queue) record(ctx context.Context, write writeFunc, verdicts []verdict) error {
	report, err := q.report(ctx, verdicts)
	if err != nil {
		return err
	}
	if report.Discard != nil {
		defer report.Discard()
	}
	count, err := q.sessions(ctx, verdicts)
	if err != nil {
		return err
	}
	return write(ctx, storage.System, func(tx *storage.Tx) error {
		if err := count(tx.Upkeep()); err != nil {
			return err
		}
		// First, since it may share the body that the queue's last row lets go of.
		if err := deposit(tx, verdicts); err != nil {
			return err
		}
		for _, v := range verdicts {
			e := tx.Record(v.event())
			var err error
			if v.verb == audit.QueueAttempt {
				err = tx.PostponeOutgoing(&v.o, v.next, v.r.Code)
			} else {
				err = tx.SettleOutgoing(e, &v.o)
			}
			if err != nil {
				return err
			}
		}
		if report.Store == nil {
			return nil
		}
		return report.Store(tx)
	})
}

// sessions prepares to count what came of TLS in an attempt. Mail of the server's
// own is not counted: reports about the delivery of reports would have no end (RFC
// 8460, section 5.3).
func (q *Queue) sessions(ctx context.Context, verdicts []verdict) (count func(*storage.Upkeep) error, err error) {
	none := func(*storage.Upkeep) error { return nil }
	var all []TLSSession
	for _, v := range verdicts {
		all = append(all, v.r.Sessions...)
	}
	if q.o.Sessions == nil || len(all) == 0 || verdicts[0].o.From == "" {
		return none, nil
	}
	if count, err = q.o.Sessions(ctx, verdicts[0].o.Org, all); count == nil {
		count = none
	}
	return count, err
}

// event says what happened to one recipient.
func (v verdict) event() audit.Event {
	outcome := audit.Failed
	if v.verb == audit.QueueDelivered {
		outcome = audit.OK
	}
	e := audit.Event{
		Verb: v.verb, Outcome: outcome,
		Org: v.o.Org, Agent: v.o.Agent, Credential: v.o.Credential, Inbox: v.o.Inbox, Object: v.o.Message,
		Fields: audit.Fields{audit.ID(audit.KeyOutgoing, v.o.ID), audit.Int(audit.KeyAttempts, v.o.Attempts)},
		Personal: audit.Fields{
			audit.Text(audit.KeyFrom, v.o.From), audit.Text(audit.KeyTo, v.o.To), audit.Text(audit.KeyMessageID, v.o.MessageID)},
	}
	v.r.addTo(&e)
	if !v.next.IsZero() {
		e.Fields = append(e.Fields, audit.Time(audit.KeyNext, v.next))
	}
	return e
}

// addTo adds what the transport found out; what it left empty is left out.
func (r Result) addTo(e *audit.Event) {
	rule := r.Rule
	if r.Uncertain {
		rule += "+uncertain"
	}
	for _, w := range []struct {
		key  audit.Key
		word string
	}{{audit.KeyRule, rule}, {audit.KeyEnhanced, r.Enhanced}, {audit.KeyTLS, r.TLS}, {audit.KeyCipher, r.Cipher},
		{audit.KeyTLSPolicy, r.Policy}, {audit.KeyTLSProof, r.VerifiedBy}, {audit.KeyTLSFailure, r.TLSFailure}, {audit.KeyTLSDemand, r.Demand}} {
		if w.word != "" {
			e.Fields = append(e.Fields, audit.Word(w.key, word(w.word)))
		}
	}
	if r.Code != 0 {
		e.Fields = append(e.Fields, audit.Int(audit.KeyCode, r.Code))
	}
	if r.Size > 0 {
		e.Fields = append(e.Fields, audit.Int(audit.KeySize, r.Size), audit.Digest(audit.KeySHA256, r.SHA256[:]))
	}
	if r.Host != "" {
		e.Personal = append(e.Personal, audit.Text(audit.KeyHost, r.Host))
	}
	if r.IP.IsValid() {
		e.Personal = append(e.Personal, audit.Text(audit.KeyNetwork, r.IP.String()))
	}
	if r.Text != "" {
		e.Personal = append(e.Personal, audit.Text(audit.KeyResponse, r.Text))
	}
}

// word keeps what a transport says to the alphabet of clear fields: a result
// must never fail to be recorded for a space in "TLS 1.3".
func word(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return -1
		case r > 0x20 && r < 0x7f && (r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || strings.ContainsRune("-._+:/,=", r)):
			return r
		}
		return '-'
	}, s)
	return s[:min(len(s), audit.MaxWord)]
}

// unreadable is the result for a body that cannot be opened: gone for good with
// the inbox that was erased, otherwise perhaps readable later.
func unreadable(err error) Result {
	if errors.Is(err, storage.ErrNotFound) {
		return Result{Outcome: Permanent, Rule: "body-gone", Enhanced: "5.3.0"}
	}
	return Result{Rule: "body-unreadable", Enhanced: "4.3.0"}
}
