package report

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"postern/storage"
)

// maxRead is how many reports one summary reads.
const maxRead = 2000

// Received are the reports about a domain whose period ended at a time or later,
// the newest first, at most maxRead of them.
type Received struct {
	Reports    []storage.Report
	Aggregates []Aggregate // of those, in the same order
	TLS        []TLSReport
}

// Read reads the reports about a domain of an organization.
func Read(ctx context.Context, s *storage.Store, org, domain uuid.UUID, since time.Time) (all Received, err error) {
	if all.Reports, err = s.Reports(ctx, org, domain, since, maxRead); err != nil {
		return all, err
	}
	for i := range all.Reports {
		r := &all.Reports[i]
		switch r.Kind {
		case storage.ReportDMARC:
			var a Aggregate
			err = json.Unmarshal(r.Content, &a)
			all.Aggregates = append(all.Aggregates, a)
		case storage.ReportTLS:
			var t TLSReport
			err = json.Unmarshal(r.Content, &t)
			all.TLS = append(all.TLS, t)
		}
		if err != nil {
			return all, fmt.Errorf("%w: report %s: %v", storage.ErrCorrupt, r.ID, err)
		}
	}
	return all, nil
}

// Source is who sent mail in the name of a domain, and how it fared.
type Source struct {
	Source      netip.Addr `json:"source,omitzero"` // zero: reporters do not say
	Messages    int64      `json:"messages"`
	Passed      int64      `json:"passed"` // DMARC
	SPF         int64      `json:"spf"`    // passed for an aligned domain
	DKIM        int64      `json:"dkim"`   // passed for an aligned domain
	Quarantined int64      `json:"quarantined"`
	Rejected    int64      `json:"rejected"`
	Reporters   int        `json:"reporters"`           // that saw it
	Signers     []string   `json:"signers,omitempty"`   // domains that signed, whether good or bad; a few
	Envelopes   []string   `json:"envelopes,omitempty"` // domains of return paths; a few
	Last        time.Time  `json:"last"`                // end of the last report that has it
}

// Failed is how many messages failed DMARC.
func (s *Source) Failed() int64 { return s.Messages - s.Passed }

// maxNames bounds the names that a Source lists.
const maxNames = 5

// Sources sums reports up by who sent, the most messages first.
func Sources(reports []Aggregate) []Source {
	byIP := map[netip.Addr]*Source{}
	seen := map[string]bool{} // address and reporter
	for i := range reports {
		a := &reports[i]
		for j := range a.Rows {
			row := &a.Rows[j]
			s := byIP[row.Source]
			if s == nil {
				s = &Source{Source: row.Source}
				byIP[row.Source] = s
			}
			s.add(row, a.End)
			if who := row.Source.String() + " " + a.Organization; !seen[who] {
				seen[who] = true
				s.Reporters++
			}
		}
	}
	all := make([]Source, 0, len(byIP))
	for _, s := range byIP {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b Source) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), a.Source.Compare(b.Source))
	})
	return all
}

func (s *Source) add(row *Row, end time.Time) {
	s.Messages += row.Count
	if row.Passed() {
		s.Passed += row.Count
	}
	if row.SPF {
		s.SPF += row.Count
	}
	if row.DKIM {
		s.DKIM += row.Count
	}
	switch row.Disposition {
	case "quarantine":
		s.Quarantined += row.Count
	case "reject":
		s.Rejected += row.Count
	}
	for _, sig := range row.Signatures {
		s.Signers = note(s.Signers, sig.Domain)
	}
	s.Envelopes = note(s.Envelopes, row.Envelope)
	if end.After(s.Last) {
		s.Last = end
	}
}

func note(names []string, name string) []string {
	if name == "" || len(names) >= maxNames || slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}

// TLSOutcome is what came of TLS to a domain: sessions that were as its policy
// asks, or one kind of failure.
type TLSOutcome struct {
	Policy    string    `json:"policy"`            // sts, tlsa, no-policy-found
	Failure   string    `json:"failure,omitempty"` // RFC 8460, section 4.3; empty: none
	Host      string    `json:"host,omitempty"`    // mail exchanger, of a failure
	Sessions  int64     `json:"sessions"`
	Reporters int       `json:"reporters"`
	Last      time.Time `json:"last"`
}

// TLSOutcomes sums reports up, successes first, then the most frequent failures.
// What a reporter counts as failed and says nothing more of is "unspecified".
func TLSOutcomes(reports []TLSReport) []TLSOutcome {
	type kind struct{ policy, failure, host string }
	sums := map[kind]*TLSOutcome{}
	seen := map[string]bool{}
	for i := range reports {
		r := &reports[i]
		add := func(k kind, n int64) {
			if n == 0 {
				return
			}
			s := sums[k]
			if s == nil {
				s = &TLSOutcome{Policy: k.policy, Failure: k.failure, Host: k.host}
				sums[k] = s
			}
			s.Sessions += n
			if r.Period.End.After(s.Last) {
				s.Last = r.Period.End
			}
			if who := fmt.Sprint(k, r.Organization); !seen[who] {
				seen[who] = true
				s.Reporters++
			}
		}
		for _, p := range r.Policies {
			add(kind{policy: p.Policy.Type}, p.Summary.Successes)
			unsaid := p.Summary.Failures
			for _, f := range p.Failures {
				add(kind{p.Policy.Type, f.Type, f.Host}, f.Sessions)
				unsaid -= f.Sessions
			}
			add(kind{policy: p.Policy.Type, failure: "unspecified"}, max(unsaid, 0))
		}
	}
	all := make([]TLSOutcome, 0, len(sums))
	for _, s := range sums {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b TLSOutcome) int {
		return cmp.Or(cmp.Compare(min(len(a.Failure), 1), min(len(b.Failure), 1)), cmp.Compare(b.Sessions, a.Sessions),
			cmp.Compare(a.Policy+a.Failure+a.Host, b.Policy+b.Failure+b.Host))
	})
	return all
}
