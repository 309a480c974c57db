package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/server/message"
	"postern/server/msgauth"
	"postern/storage"
	"postern/storage/audit"
)

// MaxMail bounds a message with a report, in bytes. RFC 7489, section 7.2.1.1:
// reports come in one message, and who asks for them may say how large.
const MaxMail = 10 << 20

// maxReports is how many reports are kept about a domain: a year of fifty a day.
const maxReports = 20_000

// Mail is a message to the address of the reports about a domain.
type Mail struct {
	Actor  audit.Actor
	Remote netip.Addr
	HELO   string
	From   message.Path
	Domain storage.Domain // of the address
	Body   io.ReaderAt
	Size   int64
}

// RefusedError says that a report was refused, with the reply that the peer gets.
type RefusedError struct {
	Rule     string // one word
	Code     int    // RFC 5321, section 4.2
	Enhanced string // RFC 3463
	Public   string
	Cause    error // for us; may be nil
}

func (e *RefusedError) Error() string {
	if e.Cause != nil {
		return "report: refused by rule " + e.Rule + ": " + e.Cause.Error()
	}
	return "report: refused by rule " + e.Rule
}

func (e *RefusedError) Unwrap() error { return e.Cause }

// The refusals.
var (
	tooLarge   = &RefusedError{Rule: "report-size", Code: 552, Enhanced: "5.3.4", Public: "a report has at most 10 MiB"}
	tooMany    = &RefusedError{Rule: "report-rate", Code: 451, Enhanced: "4.7.1", Public: "too many reports, try again later"}
	full       = &RefusedError{Rule: "report-full", Code: 452, Enhanced: "4.3.1", Public: "no more reports about this domain now"}
	unproved   = &RefusedError{Rule: "report-unproved", Code: 550, Enhanced: "5.7.1", Public: "a report must provably come from the domain in From"}
	unsigned   = &RefusedError{Rule: "report-unsigned", Code: 550, Enhanced: "5.7.1", Public: "a TLS report must have a DKIM signature of the domain in From"} // RFC 8460, section 5.3
	unreadable = RefusedError{Rule: "report-unreadable", Code: 550, Enhanced: "5.6.0", Public: "there is no report in the message that can be read"}
	foreign    = &RefusedError{Rule: "report-foreign", Code: 550, Enhanced: "5.7.1", Public: "the report is not about a domain of this server"}
)

// Receive takes a report, and returns the id by which it is known. A report that
// came before is taken, and not stored again. The error is a *RefusedError when it
// is not wanted; any other is a temporary failure.
func (o *Office) Receive(ctx context.Context, m Mail) (uuid.UUID, error) {
	now := o.o.Now()
	if m.Size > MaxMail {
		return uuid.Nil, tooLarge
	}
	if !o.limits.allow(now, m.Remote) {
		return uuid.Nil, tooMany
	}
	r, err := o.read(ctx, m)
	if err == nil {
		err = o.keep(ctx, m.Actor, r)
	}
	var refused *RefusedError
	if errors.As(err, &refused) {
		o.limits.refused(now, m.Remote)
	}
	if err != nil {
		return uuid.Nil, err
	}
	return r.ID, nil
}

// read makes a report of a message that is one.
func (o *Office) read(ctx context.Context, m Mail) (*storage.Report, error) {
	s := message.Parse(m.Body, m.Size)
	if s.Defects.Has(message.DefectReadFailed) {
		return nil, fmt.Errorf("%w: a report could not be read back", storage.ErrUnavailable)
	}
	results := o.o.Auth.Check(ctx, msgauth.Facts{Remote: m.Remote, Helo: m.HELO, From: m.From, Data: m.Body, Parsed: s})
	reporter, err := proved(results)
	if err != nil {
		return nil, err
	}
	a, t, err := o.unfold(ctx, m.Body, s)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		refused := unreadable
		refused.Cause = err
		return nil, &refused
	}
	r := &storage.Report{Head: storage.Head{Org: m.Domain.Org}, Reporter: reporter}
	var about string
	switch {
	case a != nil:
		about, r.Kind, r.ReportID, r.Begin, r.End = a.Published.Domain, storage.ReportDMARC, a.ID, a.Begin, a.End
		r.Content, err = json.Marshal(a)
	case !signed(results):
		return nil, unsigned
	default:
		about, r.Kind, r.ReportID, r.Begin, r.End = t.Policies[0].Policy.Domain, storage.ReportTLS, t.ID, t.Period.Begin, t.Period.End
		r.Content, err = json.Marshal(t)
	}
	if err != nil {
		return nil, err
	}
	return r, o.attribute(ctx, r, about)
}

// attribute finds the domain that a report is about: one of the organization to
// whose address it came.
func (o *Office) attribute(ctx context.Context, r *storage.Report, about string) error {
	d, err := o.store.DomainByName(ctx, about)
	if errors.Is(err, storage.ErrNotFound) || err == nil && d.Org != r.Org {
		return foreign // AC-19: unknown and another's look the same
	}
	r.Domain = d.ID
	return err
}

// proved is the domain in From, when the message provably comes from it. Where the
// domain publishes no policy, what would pass by the usual one does.
func proved(r msgauth.Results) (string, error) {
	switch r.DMARC.Value {
	case msgauth.Pass:
		return r.DMARC.Domain, nil
	case msgauth.TempError:
		return "", &RefusedError{Rule: "report-unproved", Code: 451, Enhanced: "4.4.3", Public: "cannot find out now who sent this"}
	case msgauth.None:
		if r.DMARC.Domain != "" && (signed(r) || r.SPF.Value == msgauth.Pass && together(r.SPF.Domain, r.DMARC.Domain)) {
			return r.DMARC.Domain, nil
		}
	}
	return "", unproved
}

// signed says whether the domain in From, or one of its organization, signed the
// message.
func signed(r msgauth.Results) bool {
	for _, d := range r.DKIM {
		if d.Value == msgauth.Pass && together(d.Domain, r.DMARC.Domain) {
			return true
		}
	}
	return false
}

func together(a, b string) bool {
	return a != "" && b != "" && msgauth.Organization(a) == msgauth.Organization(b)
}

// Bounds of the search for a report in a message.
const (
	maxParts = 20 // looked at
	maxTries = 3  // that might be one
)

// unfold is find in its turn.
func (o *Office) unfold(ctx context.Context, view io.ReaderAt, s *message.Structure) (*Aggregate, *TLSReport, error) {
	select {
	case o.turns <- struct{}{}:
		defer func() { <-o.turns }()
		return find(view, s)
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

// find reads the report that is in a message. Reporters do not agree on the type
// of the part, so a name may do as well. The error wraps ErrReport.
func find(view io.ReaderAt, s *message.Structure) (a *Aggregate, t *TLSReport, err error) {
	err = errNotFound
	parts, tries := 0, 0
	var walk func(p *message.Part)
	walk = func(p *message.Part) {
		if a != nil || t != nil || parts >= maxParts || tries >= maxTries {
			return
		}
		parts++
		for i := range p.Children {
			walk(&p.Children[i])
		}
		if p.IsMultipart() || p.Message != nil || !carries(p) {
			return
		}
		tries++
		packed, failed := io.ReadAll(io.LimitReader(message.PartReader(view, p), MaxMail))
		if failed == nil {
			a, t, failed = parse(packed)
		}
		err = failed
	}
	walk(&s.Root)
	return a, t, err
}

// carries says whether a part might be a report.
func carries(p *message.Part) bool {
	switch p.MediaType() {
	case "application/gzip", "application/x-gzip", "application/zip", "application/x-zip-compressed", "application/x-zip",
		"application/tlsrpt+gzip", "application/tlsrpt+json", "application/json", "text/xml", "application/xml":
		return true
	}
	switch strings.ToLower(path.Ext(p.Filename())) {
	case ".gz", ".zip", ".xml", ".json":
		return true
	}
	return false
}

// keep stores a report.
func (o *Office) keep(ctx context.Context, actor audit.Actor, r *storage.Report) error {
	known, err := o.store.HasReport(ctx, r)
	if err != nil || known {
		return err
	}
	n, err := o.store.CountReports(ctx, r.Domain)
	if err != nil {
		return err
	}
	if n >= maxReports {
		return full
	}
	err = o.store.Write(ctx, actor, func(tx *storage.Tx) error {
		fresh := *r // the function may run twice
		if err := store(tx, &fresh); err != nil {
			return err
		}
		r.Head = fresh.Head
		return nil
	})
	if errors.Is(err, storage.ErrConflict) { // the same came at the same moment
		return nil
	}
	return err
}

func store(tx *storage.Tx, r *storage.Report) error {
	return tx.AddReport(tx.Record(audit.Event{Verb: audit.ReportReceived, Outcome: audit.OK,
		Fields: audit.Fields{audit.Word(audit.KeyKind, string(r.Kind)), audit.ID(audit.KeyAbout, r.Domain),
			audit.Time(audit.KeyFirst, r.Begin), audit.Time(audit.KeyLast, r.End)},
		Personal: audit.Fields{audit.Text(audit.KeyReporter, r.Reporter), audit.Text(audit.KeyReportID, r.ReportID)}}), r)
}

// retention is how long a report is kept after its period.
const retention = 400 * 24 * time.Hour
